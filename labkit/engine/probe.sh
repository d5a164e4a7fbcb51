#!/bin/sh
# What can this kernel do for a lab? Each feature is tried, not looked up.
# Prints a line for each: KEY <tab> ok|no|unsure <tab> DETAIL.
# Runs in a container of its own, with no network, SYS_ADMIN and NET_ADMIN; $1 is a folder on a volume.

volume=$1
megabytes_needed=5000
instances_needed=512 # kind's known issues: "Pod errors due to too many open files"

report() {
    printf '%s\t%s\t%s\n' "$1" "$2" "$(printf %s "$3" | head -n 1 | tr '\t' ' ')"
}

# try KEY DETAIL COMMAND…: ok with this detail, or no with what the command said.
try() {
    key=$1 detail=$2
    shift 2
    said=$("$@" 2>&1)
    case $? in
        0) report "$key" ok "$detail" ;;
        127) report "$key" unsure "not probed: $said" ;; # the image lacks the program
        *) report "$key" no "${said:-refused}" ;;
    esac
}

disk() {
    set -- $(df -Pk / | tail -n 1)
    megabytes=$(($4 * 1024 / 1000000))
    verdict=no
    [ "$megabytes" -ge "$megabytes_needed" ] && verdict=ok
    report disk "$verdict" "$((megabytes / 1000)) GB free"
}

inotify() {
    instances=$(cat /proc/sys/fs/inotify/max_user_instances)
    verdict=unsure
    [ "$instances" -ge "$instances_needed" ] && verdict=ok
    report inotify "$verdict" "$instances instances per user"
}

# The engine of a node keeps its images on a volume, as overlays.
overlay() {
    mkdir "$volume/lower" "$volume/upper" "$volume/work" "$volume/merged" &&
        mount -t overlay -o "lowerdir=$volume/lower,upperdir=$volume/upper,workdir=$volume/work" \
            overlay "$volume/merged" &&
        echo written >"$volume/merged/file"
}

vxlan() {
    ip link add probe-vxlan type vxlan id 4096 dstport 4789
}

bridge_nf() {
    ip link add probe-bridge type bridge && cat /proc/sys/net/bridge/bridge-nf-call-iptables
}

# As the engine asks for it; the kernel loads the module on this question.
ip_vs() {
    genl ctrl get name IPVS
}

# The algorithm of encrypted overlays (moby, libnetwork/drivers/overlay/encryption.go).
esp() {
    ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode transport \
        aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 64
}

fuse() {
    mknod /dev/probe-fuse c 10 229 && (exec 3<>/dev/probe-fuse)
}

disk
try overlay 'mounted one on a volume' overlay
try vxlan 'made an interface' vxlan
try bridge_nf 'bridged packets pass iptables' bridge_nf
try ip_vs 'the kernel answers' ip_vs
try esp 'made a security association' esp
try fuse 'opened /dev/fuse' fuse
inotify

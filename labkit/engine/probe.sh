#!/bin/sh
# What can this kernel do for a lab? Each feature is tried, not looked up, and in the way that Docker uses it.
# Prints a line for each: KEY <tab> ok|no|unsure <tab> DETAIL.
# Runs in a container of its own, with no network, SYS_ADMIN and NET_ADMIN; $1 is a folder on a volume.

volume=$1
megabytes_needed=5000
instances_needed=512 # kind's known issues: "Pod errors due to too many open files"
instances_per_lab=20  # five containers, and tasks in the nodes

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

# On cgroup v2, each container's containerd-shim holds an instance, in which it hears of running out of memory
# (containerd #10468): one for each of the lab's containers, and one for each task (counted). On v1 it takes none.
inotify() {
    instances=$(cat /proc/sys/fs/inotify/max_user_instances)
    if [ ! -f /sys/fs/cgroup/cgroup.controllers ]; then
        report inotify ok "labs take none on cgroup v1: $instances instances per user"
    elif [ "$instances" -ge "$instances_needed" ]; then
        report inotify ok "$instances instances per user"
    else
        labs=$((instances / instances_per_lab))
        report inotify unsure "enough for about $labs labs with 15 tasks each: $instances instances per user"
    fi
}

# As a node's entrypoint decides: kernels without nf_tables still have the older tables.
tables=iptables
iptables -n -L INPUT >/dev/null 2>&1 || tables=iptables-legacy

# The engine of a node keeps its images on a volume, as overlays of several layers; to delete a file of a lower layer
# takes a whiteout, which is a device file.
overlay() {
    cd "$volume" && mkdir one two upper work merged && echo old >two/old &&
        mount -t overlay -o "lowerdir=one:two,upperdir=upper,workdir=work" overlay merged &&
        echo written >merged/new && rm merged/old && { [ -c upper/old ] || { echo "no whiteouts"; false; }; }
}

# libnetwork/drivers/overlay/ov_utils.go (createVxlan): the link, on a bridge of its own.
vxlan() {
    ip link add probe-vxlan type vxlan id 4096 dstport 4789 learning proxy l2miss l3miss &&
        ip link add probe-overlay type bridge && ip link set probe-vxlan master probe-overlay
}

# libnetwork/drivers/bridge/setup_bridgenetfiltering.go: the setting is there, and it is or can be switched on.
bridge_nf() {
    setting=/proc/sys/net/bridge/bridge-nf-call-iptables
    ip link add probe-bridge type bridge && enabled=$(cat $setting) &&
        { [ "$enabled" = 1 ] || { mount -o remount,rw /proc/sys && echo 1 >$setting; }; }
}

# libnetwork/service_linux.go (addLBBackend, configureFWMark): the kernel loads the module on the first question;
# then a setting, and a rule for the packets that come back. The scheduler (rr) is not tried.
ip_vs() {
    genl ctrl get name IPVS >/dev/null && cat /proc/sys/net/ipv4/vs/conntrack >/dev/null &&
        "$tables" -t nat -A POSTROUTING -m ipvs --ipvs -d 192.0.2.0/24 -j SNAT --to-source 192.0.2.1
}

# libnetwork/drivers/overlay/encryption.go: a rule marks packets of the network 4097 on their way out, a policy has
# marked packets encrypted, and another rule drops those that come in the clear. Kernels such as WSL's have had ESP
# without the match (WSL #9946). It is bpf; Docker 20.10.24 and 23.0.3 would also take u32 (moby #45281).
esp() {
    vxlan4097="7,32 0 0 4294963252,7 0 0 0,64 0 0 4,116 0 0 8,21 1 0 4097,6 0 0 0,6 0 0 4294967295"
    "$tables" -t mangle -A OUTPUT -p udp --dport 4789 -m bpf --bytecode "$vxlan4097" -j MARK --set-mark 13681891 &&
        "$tables" -I INPUT -m policy --dir in --pol none -p udp --dport 4789 -m bpf --bytecode "$vxlan4097" -j DROP &&
        ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 reqid 13681891 mode transport \
            aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 64 &&
        ip xfrm policy add src 192.0.2.1/32 dst 192.0.2.2/32 proto udp dport 4789 dir out mark 13681891 \
            tmpl src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 reqid 13681891 mode transport
}

# As a plugin's process does that serves a volume: open the device, and mount what will be answered through it.
fuse() {
    mknod /dev/probe-fuse c 10 229 && mkdir "$volume/fuse" &&
        (exec 3<>/dev/probe-fuse &&
            mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 probe "$volume/fuse" &&
            umount -l "$volume/fuse")
}

disk
try overlay 'mounted one on a volume, deleted a file of a lower layer' overlay
try vxlan 'made an interface, put it on a bridge' vxlan
try bridge_nf 'bridged packets pass iptables' bridge_nf
try ip_vs 'the kernel answers, made a rule' ip_vs
try esp 'made rules, a security association, and a policy' esp
try fuse 'opened /dev/fuse and mounted it' fuse
inotify

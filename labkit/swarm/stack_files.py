"""The next step for errors that `docker stack deploy` reports about a stack file.

It reads version 3 of the Compose format, while `docker compose` reads the Compose Specification, which has
grown since then (docs.docker.com/reference/cli/docker/stack/deploy). A file may work with only one of them.
"""

_LIMITS = "limits belong under deploy: resources: limits:"
_DECLARE = "declare it at the top level of the file too: networks:, volumes:, secrets:, or configs:"

ADVICE = (
    (
        r"env_file\.\d+ must be a string",
        "list only the paths: env_file: [./a.env]; docker stack deploy doesn't know path: and required:",
    ),
    (
        r"depends_on must be a list",
        "list only the names: depends_on: [db]; Swarm ignores the order, so let web retry until db answers",
    ),
    (
        r"published must be a integer",
        "write the port without quotes, as a number; docker compose config adds the quotes",
    ),
    (r"\.cpus must be a string", 'put the number in quotes: cpus: "0.5"'),
    (
        r"\(root\) Additional property name is not allowed",
        "remove name: from the file; a stack is named in the command, docker stack deploy -c FILE NAME",
    ),
    (
        r"\(root\) Additional property include is not allowed",
        "name every file in the command: docker stack deploy -c ONE.yml -c TWO.yml NAME",
    ),
    (r"Additional property scale is not allowed", "write deploy: replicas: in place of scale:"),
    (r"Additional property cpus is not allowed|unsupported options: (?:cpu|mem)", _LIMITS),
    (
        r"(?:configs|secrets)\.\S+ Additional property \S+ is not allowed",
        "put the content into a file, and name it with file:",
    ),
    (
        r"Additional property \S+ is not allowed",
        "remove that key, or fix its spelling or place; docker stack deploy knows Compose format 3 only",
    ),
    (
        r"unsupported options: extends",
        "write the service out in full: docker stack deploy doesn't know extends:",
    ),
    (
        r"unsupported Compose file version|version must be a string",
        'write version: "3.8", or remove that line',
    ),
    (
        r"(?:services|networks|volumes|configs|secrets)\S* must be an? \w+",
        "write the value as that type; docker stack deploy knows Compose format 3 only, which is stricter",
    ),
    (
        r"Does not match format 'ports'|error decoding 'Ports'",
        'write ports as "8080:80": the published port, then the container\'s',
    ),
    (r"yaml: line \d+: found character that cannot start any token", "indent with spaces, not with tabs"),
    (
        r"image reference must be provided",
        "name an image: docker stack deploy builds none, so docker build and docker push it first",
    ),
    (r"is not a valid repository/tag", "check the image's name; perhaps it has a variable that isn't set"),
    (r"top-level object must be a mapping", "the file is empty, or it isn't a stack file"),
    (r"mapping key \S+ already defined", "the key occurs twice: remove one"),
    (r"yaml: (?:line|unmarshal)", "check the indentation and the colons around that line"),
    (
        r"required variable \S+ is missing a value",
        "set it in the command: NAME=VALUE docker stack deploy …; a file .env isn't read",
    ),
    (r"undefined (?:network|volume|secret|config) ", _DECLARE),
    (
        r"is declared as external, but could not be found",
        "docker network create -d overlay NAME first, or remove external: true",
    ),
    (
        r"is declared as external, but it is not in the right scope",
        "a stack needs an overlay network: docker network create -d overlay under another name",
    ),
    (r"(?:secret|config) not found: ", "docker secret create or docker config create first, or name a file:"),
)

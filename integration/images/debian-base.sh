#!/bin/sh
# debian-base.sh SUITE MIRROR IMAGE: imports a minimal Debian as a local image, for machines without an image registry.
set -eu
suite=$1 mirror=$2 image=$3
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT INT TERM

debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" > "$root.log" 2>&1 || {
    tail -n 20 "$root.log" >&2
    exit 1
}
rm -f "$root.log"
# Documentation and translations are a third of the size and nobody reads them in a container. The folders of the
# manual stay, since packages link into them.
printf 'path-exclude=%s\n' '/usr/share/doc/*' '/usr/share/man/*/*' '/usr/share/locale/*' > "$root/etc/dpkg/dpkg.cfg.d/01-small"
tar -C "$root" --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*/*' --exclude='./usr/share/locale/*' \
    --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' -c . | docker import - "$image" > /dev/null

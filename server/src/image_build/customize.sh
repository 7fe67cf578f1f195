# Turns what mmdebstrap installed into an image: run by sh with the root directory as $1, after all packages are configured.
# In the environment: RLXC_SOURCES (text of the apt sources; empty for the distribution's own), RLXC_MIRROR (not empty where
# the packages came from another mirror than that), RLXC_DISTRIBUTION.
set -eu
root=$1

# Network: DHCP and router advertisements on the one link that a container usually has.
mkdir -p "$root/etc/systemd/network"
cat > "$root/etc/systemd/network/20-eth0.network" <<'NETWORK'
[Match]
Name=eth0

[Network]
DHCP=yes
IPv6AcceptRA=yes

[DHCPv4]
UseDomains=yes

[DHCPv6]
UseDomains=yes

[IPv6AcceptRA]
UseDomains=yes
NETWORK
systemctl --root="$root" --quiet enable systemd-networkd.service
# Nothing that boots needs to wait for an address; a container without network would wait two minutes.
systemctl --root="$root" --quiet disable systemd-networkd-wait-online.service
if [ -e "$root/lib/systemd/systemd-resolved" ] || [ -e "$root/usr/lib/systemd/systemd-resolved" ]; then
    systemctl --root="$root" --quiet enable systemd-resolved.service
    ln -sfn ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
else
    ln -sfn ../run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"
fi

# The console; virtual terminals don't exist in a container.
systemctl --root="$root" --quiet enable console-getty.service
rm -f "$root/etc/systemd/system/getty.target.wants/getty@tty1.service"

# Packages come from a mirror that any machine reaches, not from wherever this build took them. What mmdebstrap chose itself
# is one; else the distribution tells its own in the examples of apt.
examples=$root/usr/share/doc/apt/examples
if [ -n "$RLXC_SOURCES" ] || [ -n "$RLXC_MIRROR" ]; then
    rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
fi
if [ -n "$RLXC_SOURCES" ]; then
    printf '%s' "$RLXC_SOURCES" > "$root/etc/apt/sources.list.d/$RLXC_DISTRIBUTION.sources"
elif [ -n "$RLXC_MIRROR" ] && [ -e "$examples/$RLXC_DISTRIBUTION.sources" ]; then
    cp "$examples/$RLXC_DISTRIBUTION.sources" "$root/etc/apt/sources.list.d/"
elif [ -n "$RLXC_MIRROR" ] && [ -e "$examples/sources.list" ]; then
    grep '^deb ' "$examples/sources.list" > "$root/etc/apt/sources.list"
fi

# Root has no password: `exec` and `shell` need none, and nobody else gets in.
chroot "$root" passwd --quiet --lock root
chroot "$root" chsh --shell /bin/bash root
echo LANG=C.UTF-8 > "$root/etc/default/locale"

# What must differ between machines is made at the first boot.
: > "$root/etc/machine-id"
rm -f "$root/etc/hostname" "$root/etc/hosts" "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed" "$root/var/lib/systemd/credential.secret"
cat > "$root/etc/hosts" <<'HOSTS'
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
HOSTS
if [ -e "$root/usr/sbin/sshd" ]; then
    rm -f "$root"/etc/ssh/ssh_host_*
    mkdir -p "$root/etc/systemd/system/ssh.service.d"
    printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n' \
        > "$root/etc/systemd/system/ssh.service.d/host-keys.conf"
fi

# Logs and leftovers of the build.
find "$root/var/log" -type f -exec truncate --size=0 {} +
# dpkg was told not to wait for the disk while this was built; that is not for the running system.
rm -f "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
rm -rf "$root/var/lib/apt/lists"/* "$root/var/cache/apt/archives"/*.deb "$root/var/cache/apt"/*.bin "$root/var/cache/debconf"/*-old "$root/var/lib/dpkg"/*-old "$root"/etc/*- "$root/tmp"/* "$root/var/tmp"/*

# PID 1 of a test's world: own pid, mount, network, uts and ipc namespaces. Bash reaps what is orphaned here.
# Ends when its stdin does, and takes everything with it.
set -e
[ -e /run/systemd/resolve/resolv.conf ] && resolv=$(cat /run/systemd/resolve/resolv.conf) || resolv=$(cat /etc/resolv.conf 2>/dev/null || true)
# What the host has mounted below /run would come and go under our eyes.
grep -o ' /run/[^ ]*' /proc/self/mountinfo | sort -ru | while read -r place; do umount -l "$place" 2>/dev/null || true; done
mount -t tmpfs -o mode=755 run /run
# Names are looked up where the host does it; where its file leads into /run, that is empty now.
target=$(readlink -m /etc/resolv.conf)
case "$target" in
/run/*) mkdir -p "${target%/*}" && printf '%s\n' "$resolv" > "$target" ;;
*) [ ! -e "$target" ] || { printf '%s\n' "$resolv" > /run/resolv.conf && mount --bind /run/resolv.conf "$target"; } ;;
esac
if [ "$1" != shared ]; then
    ip link set lo up
    # /sys shows the links of the namespace that mounted it; cgroups and AppArmor stay the host's.
    mkdir /run/sys && mount --rbind /sys /run/sys && umount -l /sys
    mount -t sysfs sysfs /sys
    mount --rbind /run/sys/fs/cgroup /sys/fs/cgroup
    mount --rbind /run/sys/kernel/security /sys/kernel/security 2>/dev/null || true
    umount -l /run/sys && rmdir /run/sys
fi
if [ "$1" = isolated ]; then
    # A way out that leads nowhere: daemons look for a default route.
    ip link add uplink0 type veth peer name uplink1
    ip address add 198.51.100.2/24 dev uplink0
    ip link set uplink0 up && ip link set uplink1 up
    ip route add default via 198.51.100.1 dev uplink0
fi
echo ready
while read -r line; do :; done

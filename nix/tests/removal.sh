# What the test `removal` does with devices that are in use.

# The file of the last device of that name.
event() { sed -n "/$1/,/Handlers/s/.*\\(event[0-9]*\\).*/\\1/p" /proc/bus/input/devices | tail -n 1; }

# Programs that have all of them open, and say how that ended.
use() {
  keyboard=$(event 'Virtio Keyboard') tablet=$(event 'Virtio Tablet')
  (cat /dev/hvc0 > /dev/null; echo "reading hvc0 ended: $?") &
  (while echo text; do :; done 2> /dev/null > /dev/hvc0; echo "writing hvc0 ended") &
  (cat /dev/input/$keyboard 2>&1 > /dev/null | sed 's/.*: /the keyboard: /') &
  (cat /dev/input/$tablet 2>&1 > /dev/null | sed 's/.*: /the tablet: /') &
  (while dd if=/dev/fb0 of=/dev/null bs=64k count=8 2> /dev/null; do :; done; echo "looking ended") &
  mount -t 9p -o trans=virtio folder /mnt && echo text > /mnt/text
  (until ls /mnt/none 2>&1 | grep -q 'Input/output'; do :; done; echo "the folder ended") &
  exec 5<> /dev/fb0
  cat /proc/fb; grep -c hvc0 /proc/consoles; ls /dev/hvc0 /dev/input/$keyboard /dev/input/$tablet | wc -l
}

# QEMU takes no screen away, but /sys can have any device forgotten.
forget_screen() { echo 1 > $(readlink -f /sys/bus/virtio/drivers/virtio_gpu/virtio*/..)/remove; }

# How that ended, and what of them is there still: nothing.
gone() {
  wait
  dd bs=4 count=1 <&5 2>&1 | grep -v records | sed 's|.*: |the framebuffer: |'; exec 5<&-
  umount /mnt
  {
    ls /dev/hvc0 /dev/fb0 /dev/input/$keyboard /dev/input/$tablet 2> /dev/null
    cat /proc/fb; grep hvc0 /proc/consoles; grep Virtio /proc/bus/input/devices
    for driver in virtio_gpu virtio_console virtio_input 9pnet_virtio; do ls /sys/bus/virtio/drivers/$driver; done
    ls /sys/class/graphics /sys/class/input 2> /dev/null | grep -E "fb0|$keyboard|$tablet"
  } | sed "s/^/still"" there: /"
}

# What must be the same when all is back: addresses, interrupts, entries in /sys.
count() {
  (cat /proc/iomem; grep -o 'MSI.*' /proc/interrupts | sed 's/.* //'; ls /sys/bus/*/devices | sed 's/virtio[0-9]*$/virtio/') > $1
}
pages() { sed -n 's/nr_device_pages //p' /proc/vmstat; }

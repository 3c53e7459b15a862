# The body of rust-os-qemu; $ovmf is the folder of the UEFI firmware, the other variables are explained in qemu.nix.

usage() {
  cat << 'END'
usage: rust-os-qemu [OPTION]... [-- QEMU-OPTION...]

Boots rust-os in QEMU, its serial console on this terminal: Ctrl-A x ends it, Ctrl-A c is QEMU's monitor.

  --boot direct|iso|disk  kernel and root disk given to QEMU (default), the ISO as a CD, or the disk image; none:
                          something else that QEMU's own options say [BOOT]
  --uefi                  UEFI firmware instead of a BIOS; boots the ISO unless told otherwise [UEFI=on]
  --graphics              a window (or VNC) beside the terminal [GRAPHICS=on]
  --cmdline TEXT          more of the kernel's command line [CMDLINE]
  --smp N                 number of CPUs, default 1 [SMP]
  --mem SIZE              memory, default 256M [MEM]
  --build-mode debug|release|tests  which build of the kernel, default release; in-kernel tests are in it if the
                          command line asks for them (ktest, or the monitor's command test), and in `tests`
                          [RUST_BUILD_MODE]
  --fresh                 forget what was written to the disk in earlier runs
  --debug                 wait for a debugger (nix run .#gdb) at localhost:1234, or at the socket that RUST_OS_GDB
                          names by its path
  --accel auto|kvm|tcg    auto (default): KVM where it works [ACCEL]
  --drive FILE            one more disk, written to in place; may be repeated
  --share FOLDER          a folder of this machine, which the system has as /mnt/share; both read and write it [SHARE]
  --bus KIND              what the root disk is behind: virtio (vda), ahci or scsi (sda) or nvme (nvme0n1)
  --slots N               so many slots into which devices can be put while the system runs, by QEMU's monitor:
                          device_add virtio-blk-pci,bus=slot1,id=... and device_del [SLOTS]
  --faulty-drive KIND:FILE
                          a disk behind KIND that cannot read sector 16000 and cannot write sector 24000
  --test-disks FOLDER     behind the root two disks to try things on, fat.img and ext2.img from there; kept as the
                          root disk is. The apps have them without being told
  --kernel, --rootfs, --iso, --disk FILE  what to boot instead of what this flake builds
  --test                  as the boot tests do: serial line on standard input and output, no monitor, a device
                          that ends QEMU (status 33 is success), nothing kept
  --help                  this text

RUN_QEMU_GDB=yes runs QEMU itself in GDB, with its symbols and sources: say `run`.
A variable in brackets sets the default. The root disk is a copy of the built one and keeps what is written to
it until the image changes; it lies in $RUST_OS_STATE (default ~/.local/state/rust-os).
The exit status is QEMU's: 0 after `poweroff`.
END
}

fail() {
  echo "rust-os-qemu: $*" >&2
  exit 2
}

# Options

boot=${BOOT:-}
uefi=${UEFI:-off}
graphics=${GRAPHICS:-off}
cmdline=${CMDLINE:-}
smp=${SMP:-1}
mem=${MEM:-256M}
mode=${RUST_BUILD_MODE:-}
test_disks=${RUST_OS_TEST_DISKS:-}
accel=${ACCEL:-auto}
share=${SHARE:-}
test=off debug=off fresh=off
kernel='' rootfs='' iso='' disk=''
drives=()
faulty=()
bus=virtio
slots=${SLOTS:-0}
ahci_disks=0
scsi_disks=0

while [ $# -gt 0 ]; do
  case $1 in
    --uefi) uefi=on ;;
    --graphics) graphics=on ;;
    --debug) debug=on ;;
    --fresh) fresh=on ;;
    --test) test=on ;;
    --help | -h) usage; exit ;;
    --) shift; break ;;
    --boot | --cmdline | --smp | --mem | --build-mode | --accel | --drive | --share | --bus | --slots | --faulty-drive | --test-disks | --kernel | --rootfs | --iso | \
      --disk)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        --boot) boot=$2 ;;
        --cmdline) cmdline=$2 ;;
        --smp) smp=$2 ;;
        --mem) mem=$2 ;;
        --build-mode) mode=$2 ;;
        --accel) accel=$2 ;;
        --drive) drives+=("$2") ;;
        --share) share=$2 ;;
        --bus) bus=$2 ;;
        --slots) slots=$2 ;;
        --faulty-drive) faulty+=("$2") ;;
        --test-disks) test_disks=$2 ;;
        --kernel) kernel=$2 ;;
        --rootfs) rootfs=$2 ;;
        --iso) iso=$2 ;;
        --disk) disk=$2 ;;
      esac
      shift ;;
    *) fail "unknown option $1 (--help tells the options, -- starts QEMU's own)" ;;
  esac
  shift
done

case $uefi in on | off) ;; *) fail "UEFI is on or off, not '$uefi'" ;; esac
case $graphics in on | off) ;; *) fail "GRAPHICS is on or off, not '$graphics'" ;; esac
if [ -z "$mode" ]; then mode=release; fi
case $mode in debug | release | tests) ;; *) fail "the build mode is debug, release or tests, not '$mode'" ;; esac
if [[ " $cmdline " =~ [\ \;](ktest[\ =]|test[\ \;]) ]]; then
  case $mode in
    release) mode=tests ;;
    debug) mode=debug_tests ;;
  esac
fi
case $accel in auto | kvm | tcg) ;; *) fail "the accelerator is auto, kvm or tcg, not '$accel'" ;; esac
case $slots in [0-9] | 1[0-9]) ;; *) fail "--slots is a number from 0 to 19, not '$slots'" ;; esac
if [ -z "$boot" ]; then
  # QEMU's own kernel loader works with its BIOS only.
  if [ "$uefi" = on ]; then boot=iso; else boot=direct; fi
fi
case $boot in direct | iso | disk | none) ;; *) fail "boot is direct, iso, disk or none, not '$boot'" ;; esac
if [ "$boot" = direct ] && [ "$uefi" = on ]; then fail "UEFI firmware boots the iso or the disk, not a kernel"; fi

if [ "$test" = on ]; then
  state=$(mktemp -d)
  trap 'rm -rf "$state"' EXIT
else
  state=${RUST_OS_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/rust-os}
  mkdir -p "$state"
fi

# What to boot

# built KIND: the file that an option named, or the one that this flake builds. The less common ones come
# as a derivation and are built when asked for.
built() {
  local kind=$1 option=${!1} name path
  if [ -n "$option" ]; then
    echo "$option"
    return
  fi
  name=RUST_OS_${kind^^}_${mode^^}
  path=${!name:-}
  [ -n "$path" ] || fail "--$kind is missing"
  case $path in
    *.drv) # without a line on garbage collection
      mkdir -p "$state/built"
      nix-store --realise --add-root "$state/built/$kind-$mode" --indirect "$path" > /dev/null
      path=$(realpath "$state/built/$kind-$mode") ;;
  esac
  if [ "$kind" = kernel ]; then path=$path/kernel.elf; fi
  echo "$path"
}

if [ "$test" = on ]; then cmdline="debug_exit $cmdline"; fi

# A writable copy of an image, kept until the image is another one.
writable() {
  local source=$1 copy=$state/$2
  if [ "$fresh" = on ] || [ "$(cat "$copy.source" 2> /dev/null)" != "$source" ] || [ ! -e "$copy" ]; then
    if [ -e "$copy" ]; then echo "rust-os-qemu: a new image: what was written to the disk is gone" >&2; fi
    rm -f "$copy.source"
    cp --sparse=always "$source" "$copy.new"
    chmod u+w "$copy.new"
    mv "$copy.new" "$copy"
    echo "$source" > "$copy.source"
  fi
  echo "$copy"
}

# Writes the additional command line into the room that the boot menus of ISO and disk image have for it.
write_cmdline() {
  local image=$1 offset
  local text=$cmdline
  # What means something to GRUB is to reach the kernel.
  # shellcheck disable=SC2001  # a newer bash takes the & of a replacement for what was found
  if LC_ALL=C grep -aqE '^  multiboot2 .* {200}$' "$image"; then text=$(sed 's/[;&|<>{}$]/\\&/g' <<< "$cmdline"); fi
  [ ${#text} -lt 199 ] || fail "the boot menu has room for 198 bytes of command line"
  while IFS=: read -r offset _; do
    printf ' %-199s' "$text" | dd of="$image" bs=1 seek="$offset" conv=notrunc status=none
  done < <(LC_ALL=C grep -abo -E ' {200}$' "$image")
}

# The device of a disk behind a bus.
disk_device() { # BUS NAME [SERIAL]
  # A BIOS has an order of its own, and boots from the first disk only.
  local first=
  if [ "$boot-$2" = disk-root ]; then first=,bootindex=0; fi
  case $1 in
    virtio) machine+=(-device "virtio-blk-pci,drive=$2${3:+,serial=$3}$first") ;;
    ahci) machine+=(-device "ide-hd,bus=ide.$((ahci_disks++)),drive=$2,serial=${3:-$2}$first") ;;
    scsi)
      # All behind one adapter.
      if [ "$scsi_disks" = 0 ]; then machine+=(-device virtio-scsi-pci,id=scsi); fi
      machine+=(-device "scsi-hd,bus=scsi.0,scsi-id=$((scsi_disks++)),drive=$2,serial=${3:-$2}$first") ;;
    nvme) machine+=(-device "nvme,drive=$2,serial=${3:-$2}$first") ;;
    *) fail "--bus knows virtio, ahci, scsi and nvme, not $1" ;;
  esac
}

disk() { # BUS FILE NAME [SERIAL]
  machine+=(-drive "if=none,id=$3,format=raw,file=$2")
  disk_device "$1" "$3" "${4:-}"
}

virtio_disk() { # FILE NAME [SERIAL]
  disk virtio "$@"
}

# Each request for one of the two sectors fails, with EIO.
faulty_disk() { # BUS FILE NAME
  machine+=(-blockdev "driver=blkdebug,node-name=$3,image.driver=file,image.filename=$2,$(
    printf 'inject-error.%s,' {0,1}.event=none {0,1}.errno=5 {0,1}.once=off {0,1}.immediately=off \
      0.iotype=read 0.sector=16000 1.iotype=write 1.sector=24000
  )discard=unmap")
  disk_device "$1" "$3"
}

# A guest of one sector that ends QEMU with status 33 at once: KVM can be there and yet not work.
kvm_works() {
  [ -w /dev/kvm ] || return
  local stamp status=0
  stamp=$state/kvm-$(cat /proc/sys/kernel/random/boot_id)
  if [ ! -e "$stamp" ]; then
    { printf '\xb0\x10\xe6\xf4\xf4'; head -c 505 /dev/zero; printf '\x55\xaa'; } > "$state/probe.img"
    # In a shell of its own, whose word on a QEMU that aborts is not shown.
    (timeout 5 qemu-system-x86_64 -nodefaults -machine q35,accel=kvm -cpu max -display none \
      -device isa-debug-exit,iobase=0xf4,iosize=4 -drive "file=$state/probe.img,format=raw,readonly=on"
      exit $?) < /dev/null > /dev/null 2>&1 || status=$?
    echo $status > "$stamp"
  fi
  [ "$(cat "$stamp")" = 33 ]
}

# The machine

if [ "$accel" = auto ]; then
  if [ "$test" = off ] && kvm_works; then accel=kvm; else accel=tcg; fi
fi
machine=(
  -nodefaults -no-reboot
  -machine "q35,accel=$accel" -cpu max -smp "$smp" -m "$mem"
  -vga std -device virtio-rng-pci
)

if [ "$uefi" = on ]; then
  # Fresh variables each time: boot entries of an earlier run would be in the way.
  cp "$ovmf/OVMF_VARS.fd" "$state/vars.fd"
  chmod u+w "$state/vars.fd"
  machine+=(
    -drive "if=pflash,unit=0,format=raw,readonly=on,file=$ovmf/OVMF_CODE.fd"
    -drive "if=pflash,unit=1,format=raw,file=$state/vars.fd"
  )
fi

if [ "$graphics" = on ]; then
  cmdline="console=tty0 $cmdline"
  display=
  if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    display=$(qemu-system-x86_64 -display help | grep -xE 'gtk|sdl' | head -n 1) || true
  fi
  if [ -z "$display" ]; then
    display=vnc=127.0.0.1:0
    echo "rust-os-qemu: no window system here: connect a VNC viewer to 127.0.0.1:5900" >&2
  fi
  machine+=(-display "$display")
else
  machine+=(-display none)
fi

case $bus in
  ahci | scsi) root=sda ;;
  nvme) root=nvme0n1 ;;
  *) root=vda ;;
esac
case $boot in
  direct)
    kernel=$(built kernel)
    rootfs=$(built rootfs)
    if [ "$rootfs" != none ]; then disk "$bus" "$(writable "$rootfs" root.img)" root; fi
    machine+=(-kernel "$kernel" -append "root=/dev/$root rw console=ttyS0 $cmdline") ;;
  iso)
    iso=$(built iso)
    if [ -n "$cmdline" ]; then
      fresh=on
      iso=$(writable "$iso" cmdline.iso)
      write_cmdline "$iso"
    fi
    machine+=(-drive "if=none,id=cd,media=cdrom,readonly=on,format=raw,file=$iso" -device "ide-cd,drive=cd,bootindex=0") ;;
  disk)
    disk=$(writable "$(built disk)" disk.img)
    write_cmdline "$disk"
    disk "$bus" "$disk" root ;;
  none) ;;
esac
if [ -n "$test_disks" ]; then
  for kind in fat ext2; do virtio_disk "$(writable "$test_disks/$kind.img" "test-$kind.img")" "test-$kind" "test-$kind"; done
fi
for index in "${!faulty[@]}"; do faulty_disk "${faulty[$index]%%:*}" "${faulty[$index]#*:}" "faulty$index"; done
for index in "${!drives[@]}"; do virtio_disk "${drives[$index]}" "extra$index"; done

for ((number = 1; number <= slots; number++)); do
  machine+=(-device "pcie-root-port,id=slot$number,chassis=1,slot=$number")
done
if [ -n "$share" ]; then
  [ -d "$share" ] || fail "--share wants a folder, which '$share' is not"
  share=$(realpath "$share")
  # Whoever runs QEMU owns what is made there: it can keep no other owners. A comma in a value is doubled.
  machine+=(
    -fsdev "local,id=share,security_model=none,multidevs=remap,path=${share//,/,,}"
    -device virtio-9p-pci,fsdev=share,mount_tag=share
  )
fi

if [ "$test" = on ]; then
  machine+=(-serial stdio -monitor none -device "isa-debug-exit,iobase=0xf4,iosize=4")
else
  machine+=(-serial mon:stdio)
fi
if [ "$debug" = on ]; then
  gdb_at=${RUST_OS_GDB:-localhost:1234}
  case $gdb_at in
    */*) machine+=(-S -chardev "socket,id=gdb,server=on,wait=off,path=${gdb_at//,/,,}" -gdb chardev:gdb) ;;
    *) machine+=(-S -gdb "tcp:$gdb_at") ;;
  esac
  echo "rust-os-qemu: halted until a debugger connects to $gdb_at (make gdb, nix run .#gdb)" >&2
fi

if [ "$test" = on ]; then
  status=0
  qemu-system-x86_64 "${machine[@]}" "$@" || status=$?
  exit $status
fi

# What a derivation makes, and what is made already.
realise() {
  case $1 in
    *.drv) nix-store --realise "$1" ;;
    *) echo "$1" ;;
  esac
}

# QEMU in a debugger, which follows it through the scripts that start it.
debug_qemu() {
  local program program_sources magic gdb=(-q -ex "handle SIGUSR1 nostop noprint pass") output
  program=$(realpath "$(command -v qemu-system-x86_64)")
  # GDB would ask first, or, in a script, not fetch anything.
  if [ -n "${DEBUGINFOD_URLS:-}" ]; then gdb+=(-iex "set debuginfod enabled on"); fi
  if [ -n "$qemu_symbols" ]; then
    while IFS= read -r output; do
      if [ -d "$output/lib/debug" ]; then gdb+=(-iex "set debug-file-directory $output/lib/debug"); fi
    done < <(realise "$qemu_symbols")
    output=$(realise "$qemu_sources" | head -n 1)
    # Where Nix unpacks them when it builds it: the store name without its hash.
    program_sources=${output##*/}
    program_sources=${program_sources#*-}
    gdb+=(-ex "set substitute-path /build/${program_sources%-source} $output")
  elif ! gdb -nx "${gdb[@]}" -batch -ex "info line main" "$program" 2> /dev/null | grep -q '^Line '; then
    echo "rust-os-qemu: no debug symbols for $program: GDB will know its exported functions only." >&2
    echo "$qemu_without_symbols" >&2
  fi
  magic=$(head -c 4 "$program" | tr -d '\0')
  if [ "$magic" = $'\x7fELF' ]; then
    exec gdb "${gdb[@]}" --args "$program" "$@"
  fi
  exec gdb "${gdb[@]}" --args "$BASH" "$program" "$@"
}

case ${RUN_QEMU_GDB:-no} in
  yes) debug_qemu "${machine[@]}" "$@" ;;
  no) exec qemu-system-x86_64 "${machine[@]}" "$@" ;;
  *) fail "RUN_QEMU_GDB is yes or no, not '$RUN_QEMU_GDB'" ;;
esac

# GRUB: Multiboot2, BIOS and UEFI. See README.md for the face of this file.
{ lib, grub2, grub2_efi, mtools }:
let
  bios = "${grub2}/lib/grub/i386-pc";
  efi = "${grub2_efi}/lib/grub/x86_64-efi";
  modules = "normal configfile search search_fs_file multiboot2 boot echo test iso9660 part_gpt part_msdos fat all_video";
  room = lib.concatStrings (lib.genList (_: " ") 200);

  # The file that the loader reads first: it looks for the medium that carries the kernel.
  early = ''
    cat > early.cfg <<END
    search --no-floppy --set=root --file /boot/kernel.elf
    set prefix=(\$root)/boot/grub
    configfile \$prefix/grub.cfg
    END
  '';
  efiProgram = file: ''
    grub-mkimage -d ${efi} -O x86_64-efi -p /boot/grub -c early.cfg -o ${file} ${modules} efi_gop efi_uga
  '';
in
{
  name = "grub";

  configuration = { entries, timeout }: {
    path = "boot/grub/grub.cfg";
    text = ''
      set timeout=${toString timeout}
      # Without it UEFI gives no framebuffer. Its size is in the kernel's Multiboot2 header.
      insmod all_video
    '' + lib.concatMapStrings (entry: ''

      menuentry "${entry.title}" {
        multiboot2 ${entry.kernel} ${entry.cmdline}${room}
      ${lib.concatMapStrings (module: "  module2 ${module.path} ${module.name}\n") entry.modules}}
    '') entries;
  };

  iso = {
    tools = [ grub2 mtools ];
    prepare = ''
      ${early}
      grub-mkimage -d ${bios} -O i386-pc-eltorito -p /boot/grub -c early.cfg -o tree/boot/grub/eltorito.img \
        ${modules} biosdisk vbe vga
      ${efiProgram "bootx64.efi"}
      touch -d @$SOURCE_DATE_EPOCH bootx64.efi
      esp=tree/boot/grub/efi.img
      truncate -s 1440K $esp
      mformat -i $esp -f 1440 -N 12345678 -v ESP ::
      mmd -i $esp ::/EFI ::/EFI/BOOT
      mcopy -m -i $esp bootx64.efi ::/EFI/BOOT/BOOTX64.EFI
    '';
    arguments = "-b boot/grub/eltorito.img -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info "
      + "--grub2-mbr ${bios}/boot_hybrid.img --efi-boot boot/grub/efi.img -efi-boot-part --efi-boot-image";
    finish = "";
  };

  disk = {
    tools = [ grub2 ];
    prepare = ''
      ${early}
      mkdir -p tree/EFI/BOOT
      ${efiProgram "tree/EFI/BOOT/BOOTX64.EFI"}
      grub-mkimage -d ${bios} -O i386-pc -p /boot/grub -c early.cfg -o core.img ${modules} biosdisk vbe vga
    '';
    # What grub-bios-setup does, which wants a real device: boot.img goes to the master boot record and is
    # told where core.img starts (a 64-bit sector number at 0x5c); core.img's first sector is told where its
    # rest starts (at 0x1f4). Two bytes at 0x66 become nops: do not trust the drive number that the BIOS gave.
    finish = ''
      sector() { # NUMBER: as eight bytes, little endian
        local number=$1 index
        for index in 1 2 3 4 5 6 7 8; do
          printf "\\x$(printf %02x $((number & 255)))"
          number=$((number >> 8))
        done
      }
      head -c 440 ${bios}/boot.img > boot.img
      sector $bios_first | dd of=boot.img bs=1 seek=$((0x5c)) conv=notrunc status=none
      printf '\x90\x90' | dd of=boot.img bs=1 seek=$((0x66)) conv=notrunc status=none
      sector $((bios_first + 1)) | dd of=core.img bs=1 seek=$((0x1f4)) conv=notrunc status=none
      [ $(stat -c %s core.img) -le $((bios_sectors * 512)) ]
      dd if=boot.img of=$image conv=notrunc status=none
      dd if=core.img of=$image bs=512 seek=$bios_first conv=notrunc status=none
    '';
  };
}

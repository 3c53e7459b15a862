# Limine: its own protocol, BIOS and UEFI. See README.md for the face of this file.
# `limine` has Limine's released files in share/limine and its installer as bin/limine.
{ lib, limine }:
let
  files = "${limine}/share/limine";
  room = lib.concatStrings (lib.genList (_: " ") 200);
in
{
  name = "limine";

  # `path` has been `kernel_path` up to Limine 8; what a version does not know it ignores.
  configuration = { entries, timeout }: {
    path = "boot/limine/limine.conf";
    text = ''
      timeout: ${toString timeout}
    '' + lib.concatMapStrings (entry: ''

      /${entry.title}
          protocol: limine
          path: boot():${entry.kernel}
          kernel_path: boot():${entry.kernel}
          cmdline: ${entry.cmdline}${room}
      ${lib.concatMapStrings (module: ''
        module_path: boot():${module.path}
        module_string: ${module.name}
      '') entry.modules}'') entries;
  };

  iso = {
    tools = [ ];
    prepare = "cp ${files}/limine-bios.sys ${files}/limine-bios-cd.bin ${files}/limine-uefi-cd.bin tree/boot/limine/";
    arguments = "-b boot/limine/limine-bios-cd.bin -no-emul-boot -boot-load-size 4 -boot-info-table "
      + "--efi-boot boot/limine/limine-uefi-cd.bin -efi-boot-part --efi-boot-image --protective-msdos-label";
    finish = "${limine}/bin/limine bios-install $image";
  };

  disk = {
    tools = [ ];
    prepare = ''
      mkdir -p tree/EFI/BOOT
      cp ${files}/BOOTX64.EFI tree/EFI/BOOT/
      cp ${files}/limine-bios.sys tree/boot/limine/
    '';
    finish = "${limine}/bin/limine bios-install $image 1";
  };
}

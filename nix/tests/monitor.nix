# The kernel's monitor: what its commands show, wrong and random arguments, the magic keys, and after a panic.
let
  inherit (builtins) bitAnd bitXor concatMap concatStringsSep elem elemAt genList length;
  # At the start of a line, or after the question at the end of a page: not what the editor shows again.
  prompt = "(?<=[\n-])monitor> ";
  control-c = builtins.fromJSON ''"\u0003"'';
  up = builtins.fromJSON ''"\u001b[A"'';
  line = send: { expect = prompt; send = send + "\r"; };
  # docs/monitor.md has what `help` shows.
  documented = elemAt (builtins.split "```text\n|```\n" (builtins.readFile ../../docs/monitor.md)) 2;
  exactly = builtins.replaceStrings
    [ "\\" "[" "]" "(" ")" "|" "." "*" "+" "?" "^" "$" "{" "}" ]
    [ "\\\\" "\\[" "\\]" "\\(" "\\)" "\\|" "\\." "\\*" "\\+" "\\?" "\\^" "\\$" "\\{" "\\}" ];

  # A command and what it must show.
  shows = send: expect: [ (line send) { inherit expect; } ];

  # Numbers that look random, always the same: a xorshift of 31 bits.
  step = state:
    let
      a = bitXor state (bitAnd (state * 8192) 2147483647);
      b = bitXor a (a / 131072);
    in bitXor b (bitAnd (b * 32) 2147483647);
  numbers = genList (index: step (step (step (1 + index * 7919)))) 4000;
  pick = index: list: elemAt list (bitAnd (elemAt numbers index) 1048575 - (bitAnd (elemAt numbers index) 1048575) / length list * length list);

  names = [
    "help" "history" "dmesg" "loglevel" "ps" "backtrace" "memory" "slab" "page-table" "list-pci" "list-virtio"
    "interrupts" "boot-info" "print-acpi" "rng" "block" "fat" "mount" "umount" "ls" "cat" "write-to-file" "timer" "timers"
    "sleep" "exec" "prime" "bogus"
  ];
  pieces = [
    "0" "1" "2" "-1" "0x" "0x1000" "0xffffffff80001000" "4294967296" "18446744073709551615" "18446744073709551616"
    "list" "read" "write" "id" "bios" "ls" "cat" "sync" "all" "on" "off" "sysfs" "vda" "vdb" "vdz" "/dev/vdb" "/" "/.." "//proc" "/nothing/at/all"
    "/etc/motd" "''" "'two words'" "%s" "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
  ];
  # Numbers of these would be waited for.
  brief = [ "0" "1" "2" "-1" "0x" "18446744073709551616" "sync" "''" "%s" "/" ];
  command = index:
    let
      name = pick index names;
      from = if elem name [ "sleep" "rng" "timer" "prime" "exec" ] then brief else pieces;
      count = pick (index + 1) [ 0 1 1 2 2 3 3 4 ];
    in
    concatStringsSep " " ([ name ] ++ genList (argument: pick (index + 2 + argument) from) count);
  random = genList (index: line (concatStringsSep "; " (genList (part: command ((index * 6 + part) * 6)) 6))) 100;
in
{
  description = "The kernel's monitor: its commands, wrong and random arguments, magic keys, and after a panic";
  cmdline = "monitor panic=monitor";
  testDisks = true;
  panics = true;
  type =
    # A page, and enough of it; completion; history; editing.
    [ (line "help") { expect = "-- more: .* --"; send = "q"; } (line "page off") ]
    ++ shows "help" ("\n" + exactly documented)
    ++ shows "help block" "block list \\| read <disk> <sector>.*\n +lists disks"
    ++ [
      { expect = prompt; send = "hel\t pag\t\r"; }
      { expect = "page \\[on\\|off\\|<rows>\\]\n"; }
      { expect = prompt; send = "${up}\r"; }
    ]
    ++ shows "history" "1  help\n +2  page off\n +3  help\n"
    # The commands of the first system.
    ++ shows "block list" "0: vda .*mounted\n.*1: vdb .*serial test-fat\n(.*\n)?2: vdc .*serial test-ext2\n"
    ++ shows "block id 2" "\ntest-ext2\n"
    ++ shows "fat bios 1" "type: Fat12, .*\n(.*\n)+volume label: TEST_FAT, id: 12345678\nbytes per sector: 512\n(.*\n)+sectors: 4000\n"
    ++ shows "fat ls 1 /" " 14000 1980-01-01 .* long.txt\n +14 1980-01-01 .* short.txt\n"
    ++ shows "fat cat 1 short.txt; fat cat vdb /SHORT.TXT" "\nRust is cool!\nRust is cool!\n"
    ++ shows "fat cat 1 none; fat cat 2 x; fat cat 1 /; fat" "no such file\n(.*\n)*fat: the boot sector does not end with 55 aa\nfat: this is a directory\nusage: fat "
    ++ shows "block write 1 3999 1311768467463790320; block read vdb 3999" "000: f0 de bc 9a 78 56 34 12 00 00"
    ++ shows "block read 1 4000" "block: the disk has no such sector\n"
    ++ shows "block write 0 0 1" "a file system is mounted from the disk\n"
    ++ shows "mount 1" "mount: mounting: EINVAL"
    ++ shows "mount 2" "the root file system is /dev/vdc \\(ext2\\)\n"
    ++ shows "ls /" "\nbin/\n(.*\n)*hello.txt\n"
    ++ shows "cat /nested-dir/nested.txt" "\nNested hello\n"
    ++ shows "write-to-file /new word; cat /new" "\nword\n"
    ++ shows "write-to-file /none/new word" "write-to-file: opening: ENOENT\n"
    ++ shows "exec 3 /bin/primes 100" "541\n(.*\n)*process \\d+ has ended: Exited\\(0\\)\nprocess \\d+ .*\nprocess \\d+ .*\n"
    ++ shows "exec 1 /bin/none" "exec: starting: ENOENT\n"
    ++ shows "umount; umount" "unmounted the root file system\numount: unmounting: EINVAL"
    ++ shows "cat /etc/hostname" "rust-os\n"
    ++ shows "mount sysfs; ls /; umount" "\nblock/\n(.*\n)*devices/\n"
    ++ shows "rng 40" "\n[0-9a-f]{64}\n[0-9a-f]{16}\n"
    ++ shows "rng 0; rng" "usage: rng <bytes>\n"
    ++ shows "timer 1" "a timer is set for 1 ms from now\n"
    ++ shows "sleep 1" "sleeping for 1 ms\n(.*\n)*slept for 1 ms\n"
    ++ [ (line "sleep 1000000000") { expect = "sleeping for"; send = control-c; } ]
    ++ shows "prime sync 100" "prime number 100 is 541\n"
    # The second takes much longer than the three.
    ++ shows "prime async 100 3; prime sync 1000; dmesg 9" "number 1000 is 7919\n(.*\n)*(.*prime: number 100 is 541\n(.*\n)*){3}"
    ++ shows "page-table" "resident: 2 pages, 7 tables\n(.*\n)+empty: 0 pages, 1 tables\n"
    ++ shows "write-framebuffer hello!" ""
    ++ shows "backtrace" "monitor::session::run\\+0x"
    ++ shows "list-pci" "0000:00:00.0 8086:29c0 class 060000"
    ++ shows "list-virtio" "virtio1 \\(block\\): driver virtio_blk"
    ++ shows "boot-info" "boot protocol: pvh\n(.*\n)+memory map:\n"
    ++ shows "print-acpi" "processor 0: APIC id 0, enabled\n(.*\n)+.*FACP at (.*\n)+.*DSDT at (.*\n)+HPET: 0xfed00000\nMCFG: "
    ++ shows "test" "this kernel was built without the feature `tests`\n"
    # Looks at the rest.
    ++ shows "ps" "\"sysrq\" waits for sysrq"
    ++ shows "locks" "locks held and waited for:\n"
    ++ shows "interrupts; timers; memory; slab" "Local timer interrupts\n(.*\n)+clock source: (.*\n)+free blocks of (.*\n)+kmalloc-64 "
    ++ shows "backtrace 3" "thread 3 \"reaper\", (Sleeping|Waiting) on CPU \\d\n(.*\n)+.*sched::reaper::run"
    ++ random
    # Init goes on where it was held up, and is looked at while it runs.
    ++ [
      (line (concatStringsSep ";" (genList (_: "umount") 60)))
      (line "loglevel 4; continue")
      { expect = "left the monitor\n(.*\n)+root@rust-os:[^ ]*# "; magic = "g"; }
      { expect = "leaves it"; }
    ]
    ++ shows "page off; ps" " 1 +0 S .*\"init\" waits"
    ++ shows "page-table 0x400000 1" "level 4: table "
    ++ [ (line "continue") { expect = "left the monitor\n"; send = "\necho $((6 * 7)); echo c > /proc/sysrq-trigger\n"; }
    { expect = "\n42\n"; } ]
    # After the panic.
    ++ [ { expect = "kernel panic on CPU \\d: sysrq triggered a crash"; } ]
    ++ shows "page off; ls /" "ls: not after a panic"
    ++ shows "ps" "\"sysrq\" waits for sysrq"
    ++ shows "memory; locks" "free blocks of (.*\n)+locks held and waited for:\n"
    ++ shows "dmesg 1" "\\[ +\\d+\\.\\d+\\] "
    ++ shows "page-table 0xffff800000000000" "level 4: table "
    ++ shows "panic again" "panic inside a panic: the monitor was asked to panic: again"
    ++ shows "page off; backtrace" "sysrq::crash\\+0x"
    ++ [ (line "exit") ];
  expect = [ "the timer of 1 ms has fired" ];
  reject = [ "monitor has failed" ];
  status = 33;
  timeout = 120;
}

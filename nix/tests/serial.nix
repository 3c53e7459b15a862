{
  description = "two serial lines and a virtio-console: the log on two of them, shells on two, each gets what is typed there";
  boot = "direct";
  mem = "64M";
  # The log is on ttyS0 as well: all boot tests have that.
  cmdline = "console=hvc0,115200n8 shells=ttyS1,hvc0";
  lines = [ "ttyS1" "hvc0" ];
  type =
    let
      prompt = "root@rust-os:[^ ]*# ";
      on = line: expect: send: { inherit line expect; send = send + "\n"; };
    in
    [
      { expect = "tty: console is hvc0"; }
      # What was printed before it was found, and what comes later.
      { line = "hvc0"; expect = "\\] rust-os .*\n(.*\n)*.*command line: (.*\n)*.*init: starting"; }
      # Lines of their own: a shell on each, and the log on one of them only.
      (on "ttyS1" prompt "tty; stty -a 2>/dev/null | head -1; cat /proc/consoles /sys/class/tty/console/active")
      {
        line = "ttyS1";
        expect = "/dev/ttyS1\nspeed 115200 baud; .*\nhvc0 +-W- \\(EC  p a\\)  229:0\nttyS0 +-W- \\(E   p a\\)    4:64\nttyS0 hvc0\n";
        lacks = "init: starting";
      }
      (on "hvc0" prompt "tty; echo shell-of-$((6 * 7)); echo '<4>to all consoles' > /dev/kmsg")
      { line = "hvc0"; expect = "/dev/hvc0\nshell-of-42\n(.*\n)*.*to all consoles"; lacks = "ttyS1\n"; }
      { expect = "to all consoles"; lacks = "shell-of|root@"; }
      # More output than any buffer holds, in order.
      (on "hvc0" prompt "seq 1 3000 | tail -n 2999")
      { line = "hvc0"; expect = "\n2\n3\n(\\d+\n){2995}2999\n3000\n"; }
      (on "ttyS1" prompt "seq 1 3000 | tail -n 2999; stty 9600 cs7 parenb -parodd cstopb; stty -a 2>/dev/null | grep -o 'speed 9600\\|cs7\\|[^ ]*parenb\\|[^ ]*parodd\\|[^ ]*cstopb' | tr '\\n' ,")
      { line = "ttyS1"; expect = "\n2\n3\n(\\d+\n){2995}2999\n3000\nspeed 9600,parenb,-parodd,cs7,cstopb,"; lacks = "to all consoles"; }
      # A speed that no 16550 has stays what it was; lines and counts are told.
      (on "ttyS1" prompt "stty 230400; stty speed; grep 1: /proc/tty/driver/serial")
      { line = "ttyS1"; expect = "\n9600\n1: uart:16550A port:000002F8 irq:3 tx:\\d{5} rx:\\d+ RTS\\|CTS\\|DTR\\|DSR\\|CD\n"; }
      # Ctrl-C reaches the program of that terminal alone.
      (on "hvc0" prompt "echo begun; sleep 1000; echo interrupted; poweroff -f")
      { line = "hvc0"; expect = "\nbegun\n"; send = "\u0003"; }
      (on "ttyS1" prompt "echo c > /proc/sysrq-trigger")
      { line = "hvc0"; expect = "kernel panic on CPU 0: sysrq triggered a crash.*\n(.*\n)*backtrace:\n(.*\n)*.*syscall::dispatch"; }
    ];
  panics = true;
  expect = [ "kernel panic on CPU 0: sysrq triggered a crash" ];
  status = 35;
}

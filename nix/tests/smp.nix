let steps = import ./steps.nix; in {
  description = "Eight CPUs on two sockets: interrupts go where they are sent, share a line, and a panic asks everybody";
  smp = "8,sockets=2,cores=2,threads=2";
  # Without messages, and on one line: device 16 and 20 differ by four. Another one behind a bridge: its pin is turned
  # to the bridge's fourth.
  qemu = [
    "-device" "virtio-rng-pci,vectors=0,addr=0x10" "-device" "virtio-rng-pci,vectors=0,addr=0x14"
    "-device" "pcie-pci-bridge,id=bridge,addr=0x18" "-device" "virtio-rng-pci,vectors=0,bus=bridge,addr=0x3"
  ];
  type = steps.shell [
    "nproc"
    "cat /proc/interrupts"
    # The serial line itself is moved: whoever reads the next command has moved with it.
    "for cpu in 0 1 2 3 4 5 6 7; do echo $cpu > /proc/irq/4/smp_affinity_list; done"
    "echo now on $(cat /proc/irq/4/effective_affinity_list)"
    "echo 100 > /proc/irq/4/smp_affinity"
    "cat /proc/irq/4/smp_affinity"
    "echo l > /proc/sysrq-trigger"
    "echo c > /proc/sysrq-trigger"
  ];
  panics = true;
  expect = [
    "smp: 8 CPUs"
    "\n8\n"
    " IO-APIC  [0-9]+-fasteoi +virtio-rng, virtio-rng\n"
    "\n +23:[ 0-9]*[1-9][ 0-9]* IO-APIC +23-fasteoi +virtio-rng\n"
    " RES:.* Rescheduling interrupts\n"
    "now on 7\n"
    "write error: Invalid argument\n"
    "\n80\n"
    # For sysrq l, all of them.
    "(?s)(\\] CPU [0-7]: .*?){8}"
    "kernel panic on CPU [0-7]: sysrq triggered a crash"
    # And the others in the panic.
    "(?s)kernel panic(.*?\nCPU [0-7]: ){7}"
  ];
  reject = [ "does not answer" "is not started" ];
  status = 35;
}

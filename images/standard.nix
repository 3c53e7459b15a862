# The image that `make run` boots, and that the ISO and the disk image carry: busybox, our programs, /etc.
{
  name = "rust-os";
  menu = [
    { title = "rust-os"; cmdline = ""; }
    { title = "rust-os, all messages"; cmdline = "loglevel=7"; }
  ];
}

{
  description = "A root device that is not there: a message, and the end";
  cmdline = "root=/dev/nope";
  expect = [ "/dev/nope" ];
  status = 35;
  timeout = 60;
}

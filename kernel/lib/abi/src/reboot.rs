//! The numbers of `reboot`. Source: reboot(2).

constants! { u32, like libc;
    LINUX_REBOOT_MAGIC1 = 0xfee1_dead, "First argument.";
    LINUX_REBOOT_MAGIC2 = 0x2812_1969, "Second argument.";
    LINUX_REBOOT_MAGIC2A = 0x0512_1996, "Second argument, too.";
    LINUX_REBOOT_MAGIC2B = 0x1604_1998, "Second argument, too.";
    LINUX_REBOOT_MAGIC2C = 0x2011_2000, "Second argument, too.";
    LINUX_REBOOT_CMD_RESTART = 0x0123_4567, "Restart.";
    LINUX_REBOOT_CMD_HALT = 0xcdef_0123, "Halt, leave the power on.";
    LINUX_REBOOT_CMD_CAD_ON = 0x89ab_cdef, "Ctrl-Alt-Del restarts at once.";
    LINUX_REBOOT_CMD_CAD_OFF = 0, "Ctrl-Alt-Del sends SIGINT to process 1.";
    LINUX_REBOOT_CMD_POWER_OFF = 0x4321_fedc, "Power off.";
    LINUX_REBOOT_CMD_RESTART2 = 0xa1b2_c3d4, "Restart with a message.";
    LINUX_REBOOT_CMD_SW_SUSPEND = 0xd000_fce2, "Suspend to disk.";
    LINUX_REBOOT_CMD_KEXEC = 0x4558_4543, "Start another kernel.";
}

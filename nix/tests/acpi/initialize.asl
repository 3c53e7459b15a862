// _INI and _STA: \LOG tells what was called, in which order. (acpiexec calls no _REG.)
DefinitionBlock ("", "DSDT", 2, "RUSTOS", "INITIAL", 1)
{
    Name (LOG, "")
    Method (NOTE, 1) { LOG = Concatenate (LOG, Arg0) LOG = Concatenate (LOG, " ") }

    Method (_INI) { NOTE ("root") }

    Scope (_SB)
    {
        Method (_INI) { NOTE ("system") }

        Device (OUTS)
        {
            Name (ASKD, 0)
            Method (_STA) { If (!ASKD) { NOTE ("OUTS-status") ASKD = 1 } Return (0xF) }
            Method (_INI) { NOTE ("OUTS") }
            Device (INSI) { Method (_INI) { NOTE ("INSI") } }
        }
        Device (NONE)
        {
            Name (_STA, 0)
            Method (_INI) { NOTE ("NONE") }
            Device (INSI) { Method (_INI) { NOTE ("NONE-INSI") } }
        }
        Device (WORK)
        {
            Name (_STA, 8)
            Method (_INI) { NOTE ("WORK") }
            Device (INSI) { Method (_INI) { NOTE ("WORK-INSI") } }
        }
        Device (PRES)
        {
            Name (_STA, 1)
            Method (_INI) { NOTE ("PRES") }
        }
        Device (FAIL)
        {
            Method (_STA) { Return (DerefOf (Index (Package (1) { 1 }, 5))) }
            Method (_INI) { NOTE ("FAIL") }
            Device (INSI) { Method (_INI) { NOTE ("FAIL-INSI") } }
        }
        Device (BADI)
        {
            Method (_INI) { NOTE ("BADI") Local0 = DerefOf (Index (Package (1) { 1 }, 5)) NOTE ("never") }
            Device (INSI) { Method (_INI) { NOTE ("BADI-INSI") } }
        }
        // Memory and ports can always be reached.
        Device (PORT)
        {
            OperationRegion (PRT0, SystemIO, 0x80, 4)
            Method (_REG, 2) { NOTE ("PORT-region") }
            Method (_INI) { NOTE ("PORT") }
        }
    }
    // Behind the others, and yet inside the first.
    Scope (_SB.OUTS) { Device (LATE) { Method (_INI) { NOTE ("LATE") } } }
    ThermalZone (TZN0) { Method (_INI) { NOTE ("TZN0") } }
    Processor (CPU0, 0, 0, 0) { Method (_INI) { NOTE ("CPU0") } }
}

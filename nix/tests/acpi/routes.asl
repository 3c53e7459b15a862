// What acpiexec has no room to print is asked for in parts: four entries each.
DefinitionBlock ("", "SSDT", 1, "RUSTOS", "ROUTES", 1)
{
    External (\_SB.PCI0._PRT, MethodObj)
    Method (\RTCN) { Return (SizeOf (\_SB.PCI0._PRT ())) }
    Method (\RTEL, 1)
    {
        Local0 = \_SB.PCI0._PRT ()
        Local1 = Package (4) { }
        Local2 = 0
        While (Local2 < 4)
        {
            Local1[Local2] = DerefOf (Local0[Arg0 * 4 + Local2])
            Local2++
        }
        Return (Local1)
    }
}

// Every operation, with values of each kind. Methods T... take no arguments.
DefinitionBlock ("", "DSDT", 2, "RUSTOS", "OPERATE", 1)
{
    // What a method has found: a package cannot be made of expressions.
    Name (OUT, Package (20) { })
    Name (CNT, 0)
    Method (BEG) { CopyObject (Package (20) { }, OUT) CNT = 0 }
    Method (PUT, 1) { OUT[CNT] = Arg0 CNT++ }

    Name (NUM0, 0x1234567890ABCDEF)
    Name (STR0, "Hello")
    Name (BUF0, Buffer () { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
    Name (PKG0, Package () { 1, "two", Buffer () { 3 }, Package () { 4, 5 }, NUM0, \_SB })
    Name (EMPT, Buffer (0) { })

    Method (TAR0) { BEG () PUT (7 + 8) PUT (7 - 8) PUT (7 * 8) PUT (7 & 12) PUT (7 | 8) PUT (7 ^ 12) PUT (~7) PUT (1 << 63) PUT (1 << 64) PUT (0x8000 >> 4) PUT (1 >> 64) Return (OUT) }
    Method (TAR1)
    {
        Divide (100, 7, Local0, Local1)
        Local2 = 100 % 7
        Local3 = 5
        Local3++
        Local4 = 0
        Local4--
        NAnd (5, 3, Local5)
        NOr (5, 3, Local6)
        BEG () PUT (Local0) PUT (Local1) PUT (Local2) PUT (Local3) PUT (Local4) PUT (Local5) PUT (Local6) Return (OUT)
    }
    Method (TAR2) { BEG () PUT (FindSetLeftBit (0x10)) PUT (FindSetRightBit (0x18)) PUT (FindSetLeftBit (0)) PUT (FindSetRightBit (0)) PUT (FindSetLeftBit (Ones)) Return (OUT) }
    Method (TLOG)
    {
        BEG () PUT (1 && 2) PUT (0 || 0) PUT (!5) PUT (!0) PUT (3 == 3) PUT (3 < 2) PUT (3 > 2) PUT (3 <= 3) PUT (3 >= 4) PUT (3 != 4) PUT ("a" == "a") PUT ("a" < "b") PUT ("abc" > "abd") PUT ("ab" < "abc") PUT (STR0 == "Hello") PUT (Buffer () { 1, 2 } == Buffer () { 1, 2 }) PUT (Buffer () { 1, 2 } < Buffer () { 1, 3 }) PUT (Buffer () { 1 } < Buffer () { 1, 0 }) Return (OUT)
    }
    // One kind taken for another.
    Method (TCO0) { BEG () PUT ("12" + 1) PUT ("FF" + 1) PUT ("0x10" + 1) PUT ("12xy" + 0) PUT (Buffer () { 1, 2 } + 0) PUT (1 + "7") PUT ("" == "") Return (OUT) }
    Method (TCO1) { BEG () PUT (Concatenate ("a", 0x1F)) PUT (Concatenate ("a", "b")) PUT (Concatenate (1, 2)) PUT (Concatenate (1, "12")) PUT (Concatenate (Buffer () { 1 }, Buffer () { 2 })) PUT (Concatenate ("x", Buffer () { 0xAB, 1 })) Return (OUT) }
    Method (TCO2) { BEG () PUT (ToInteger ("123")) PUT (ToInteger ("0x1F")) PUT (ToInteger (Buffer () { 1, 2 })) PUT (ToInteger (5)) PUT (ToHexString (0xABC)) PUT (ToDecimalString (1234)) PUT (ToHexString (Buffer () { 1, 0xAB })) PUT (ToDecimalString (Buffer () { 1, 200 })) PUT (ToDecimalString ("str")) PUT (ToHexString ("str")) Return (OUT) }
    Method (TCO3) { BEG () PUT (ToBuffer ("ab")) PUT (ToBuffer (0x1234)) PUT (ToBuffer (Buffer () { 5 })) PUT (ToString (Buffer () { 0x61, 0x62, 0, 0x63 })) PUT (ToString (Buffer () { 0x61, 0x62, 0x63 }, 2)) Return (OUT) }
    Method (TMID) { BEG () PUT (Mid ("abcdef", 1, 3)) PUT (Mid ("abc", 2, 10)) PUT (Mid ("abc", 5, 1)) PUT (Mid (BUF0, 2, 4)) PUT (Mid (BUF0, 8, 10)) Return (OUT) }
    Method (TSIZ) { BEG () PUT (SizeOf (STR0)) PUT (SizeOf (BUF0)) PUT (SizeOf (PKG0)) PUT (SizeOf (EMPT)) Return (OUT) }
    Method (TTYP)
    {
        Local0 = 5
        Local1 = "s"
        BEG () PUT (ObjectType (NUM0)) PUT (ObjectType (STR0)) PUT (ObjectType (BUF0)) PUT (ObjectType (PKG0)) PUT (ObjectType (TTYP)) PUT (ObjectType (DEV0)) PUT (ObjectType (MTX0)) PUT (ObjectType (REG0)) PUT (ObjectType (FLD0)) PUT (ObjectType (EVT0)) PUT (ObjectType (Local0)) PUT (ObjectType (Local1)) PUT (ObjectType (Local2)) PUT (ObjectType (TZN0)) PUT (ObjectType (CPU0)) PUT (ObjectType (PWR0)) Return (OUT)
    }
    Method (TIDX)
    {
        Local0 = Package () { 1, "two", Buffer () { 3, 4 } }
        Local0[0] = 10
        Local1 = DerefOf (Local0[2])
        Local1[1] = 0x55
        Local2 = "text"
        Local2[0] = 0x54
        BEG () PUT (DerefOf (Local0[0])) PUT (DerefOf (Local0[1])) PUT (DerefOf (Local0[2])) PUT (Local1) PUT (DerefOf (Local1[1])) PUT (Local2) PUT (DerefOf (PKG0[4])) Return (OUT)
    }
    Method (TMAT)
    {
        Local0 = Package () { 1, 5, 9, 12, 5 }
        BEG () PUT (Match (Local0, MEQ, 5, MTR, 0, 0)) PUT (Match (Local0, MEQ, 5, MTR, 0, 2)) PUT (Match (Local0, MGT, 5, MLT, 12, 0)) PUT (Match (Local0, MGE, 100, MTR, 0, 0)) PUT (Match (Local0, MLE, 1, MTR, 0, 0)) Return (OUT)
    }
    Method (TREF)
    {
        Local0 = RefOf (NUM0)
        Local1 = DerefOf (Local0)
        Local2 = CondRefOf (NONE, Local3)
        Local4 = CondRefOf (STR0, Local5)
        BEG () PUT (Local1) PUT (Local2) PUT (Local4) PUT (DerefOf (Local5)) Local6 = "\\STR0" PUT (DerefOf (Local6)) Return (OUT)
    }
    // Stores keep the kind of a name, and CopyObject does not.
    Name (KEEP, 0)
    Name (KSTR, "abc")
    Name (KBUF, Buffer (4) { 1, 2, 3, 4 })
    Name (CHNG, 0)
    Method (TSTO)
    {
        KEEP = "1F"
        KSTR = 0x2A
        KBUF = 0x1122
        BEG () PUT (KEEP) PUT (KSTR) PUT (KBUF) Return (OUT)
    }
    Method (TCPY)
    {
        CopyObject ("text", CHNG)
        Local0 = CHNG
        CopyObject (Buffer () { 1, 2 }, CHNG)
        Local1 = CHNG
        BEG () PUT (Local0) PUT (Local1) PUT (ObjectType (CHNG)) Return (OUT)
    }
    Method (TBUF)
    {
        KBUF = Buffer () { 9, 8, 7, 6, 5, 4 }
        Local0 = KBUF
        KBUF = Buffer () { 1 }
        BEG () PUT (Local0) PUT (KBUF) PUT (SizeOf (KBUF)) Return (OUT)
    }
    Method (TPAS) { Local0 = Package () { 1, 2 } PASS (Local0) Return (Local0) }
    Method (PASS, 1) { Arg0[0] = 9 Arg0 = 7 }
    Method (TARG) { Local0 = 5 SETA (RefOf (KEEP)) Return (KEEP) }
    Method (SETA, 1) { Arg0 = 0x77 }

    // Flow.
    Method (TWHI)
    {
        Local0 = 0
        Local1 = 0
        While (Local0 < 20)
        {
            Local0++
            If (Local0 & 1) { Continue }
            If (Local0 == 14) { Break }
            Local1 += Local0
        }
        BEG () PUT (Local0) PUT (Local1) Return (OUT)
    }
    Method (TSWI) { BEG () PUT (SWIT (1)) PUT (SWIT (2)) PUT (SWIT (5)) PUT (SWIT (9)) Return (OUT) }
    Method (SWIT, 1, Serialized)
    {
        Switch (ToInteger (Arg0))
        {
            Case (1) { Return ("one") }
            Case (Package () { 2, 3, 5 }) { Return ("prime") }
            Default { Return ("other") }
        }
    }
    Method (TELS) { BEG () PUT (CHOO (1)) PUT (CHOO (2)) PUT (CHOO (3)) Return (OUT) }
    Method (CHOO, 1) { If (Arg0 == 1) { Local0 = 10 } ElseIf (Arg0 == 2) { Local0 = 20 } Else { Local0 = 30 } Return (Local0) }
    Method (TREC) { Return (FACT (10)) }
    Method (FACT, 1) { If (Arg0 < 2) { Return (1) } Local0 = FACT (Subtract (Arg0, 1)) Return (Arg0 * Local0) }
    Method (TNAM) { Name (TEMP, 5) Local0 = MAKE () + MAKE () Return (Local0 + TEMP) }
    Method (MAKE) { Name (TEMP, 3) Return (TEMP) }
    Method (TMTX) { Local0 = Acquire (MTX0, 100) Release (MTX0) Signal (EVT0) Local1 = Wait (EVT0, 10) BEG () PUT (Local0) PUT (Local1) Return (OUT) }

    // Fields.
    OperationRegion (REG0, SystemMemory, 0x10000000, 0x40)
    Field (REG0, ByteAcc, NoLock, Preserve) { FLD0, 3, FLD1, 7, FLD2, 16, , 6, FLD3, 32, FLD4, 96 }
    Field (REG0, ByteAcc, NoLock, Preserve) { Offset (0x20), RAW0, 32, RAW1, 32 }
    Field (REG0, ByteAcc, NoLock, WriteAsOnes) { Offset (0x20), , 4, ONE0, 4 }
    Field (REG0, DWordAcc, NoLock, WriteAsZeros) { Offset (0x24), , 8, ZER0, 8 }
    Method (TFLD)
    {
        FLD0 = 0xFF
        FLD1 = 0x55
        FLD2 = 0xBEEF
        FLD3 = 0x12345678
        FLD4 = Buffer () { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }
        BEG () PUT (FLD0) PUT (FLD1) PUT (FLD2) PUT (FLD3) PUT (FLD4) Return (OUT)
    }
    Method (TRUL)
    {
        RAW0 = 0
        RAW1 = Ones
        ONE0 = 5
        ZER0 = 0x11
        BEG () PUT (RAW0) PUT (RAW1) Return (OUT)
    }
    OperationRegion (REG1, SystemIO, 0x70, 2)
    Field (REG1, ByteAcc, NoLock, Preserve) { IDX0, 8, DAT0, 8 }
    IndexField (IDX0, DAT0, ByteAcc, NoLock, Preserve) { Offset (0x32), CENT, 8 }
    Method (TIXF) { CENT = 0x5A BEG () PUT (CENT) PUT (IDX0) PUT (DAT0) Return (OUT) }
    OperationRegion (REG2, SystemIO, 0x90, 8)
    Field (REG2, ByteAcc, NoLock, Preserve) { BNKS, 8 }
    BankField (REG2, BNKS, 3, ByteAcc, NoLock, Preserve) { Offset (4), BNK3, 8 }
    Method (TBNK) { BNK3 = 0x21 BEG () PUT (BNKS) PUT (BNK3) Return (OUT) }
    Method (TBFL)
    {
        Local0 = Buffer (16) { }
        CreateByteField (Local0, 0, BYT0)
        CreateWordField (Local0, 1, WRD0)
        CreateDWordField (Local0, 3, DWD0)
        CreateQWordField (Local0, 7, QWD0)
        CreateBitField (Local0, 120, BIT0)
        CreateField (Local0, 121, 6, FLDX)
        BYT0 = 0x1FF
        WRD0 = 0x2345
        DWD0 = 0x6789ABCD
        QWD0 = 0x1122334455667788
        BIT0 = 1
        FLDX = 0x2A
        BEG () PUT (Local0) PUT (BYT0) PUT (WRD0) PUT (DWD0) PUT (QWD0) PUT (BIT0) PUT (FLDX) Return (OUT)
    }

    // Resources.
    Name (RES0, ResourceTemplate () { IO (Decode16, 0x60, 0x60, 1, 1) IRQNoFlags () { 1 } })
    Name (RES1, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveLow, Shared) { 16, 17 } Memory32Fixed (ReadWrite, 0xFED00000, 0x400) })
    Method (TRES) { BEG () PUT (RES0) PUT (RES1) PUT (ConcatenateResTemplate (RES0, RES1)) Return (OUT) }
    Method (TUID) { BEG () PUT (ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766")) PUT (EisaId ("PNP0A03")) PUT (Unicode ("ab")) Return (OUT) }
    Method (TOSI) { BEG () PUT (_OSI ("Windows 2009")) PUT (_OSI ("Linux")) PUT (_OSI ("Nothing at all")) Return (OUT) }
    Method (TVPK) { Local0 = 3 Local1 = Package (Local0) { 1 } BEG () PUT (SizeOf (Local1)) PUT (DerefOf (Local1[0])) Return (OUT) }
    // Errors: nothing is evaluated.
    Name (BYT1, 1)
    Method (XDIV) { Local0 = 0 Return (5 / Local0) }
    Method (XIDX) { Local0 = Package () { 1 } Local1 = 1 Return (DerefOf (Local0[Local1])) }
    Method (XTYP) { Local0 = Package () { 1 } Return (Local0 + 1) }
    Method (XREG) { Return (OUTS) }
    OperationRegion (REG3, SystemIO, 0xA0, BYT1)
    Field (REG3, ByteAcc, NoLock, Preserve) { Offset (4), OUTS, 8 }

    Device (DEV0) { }
    Mutex (MTX0, 0)
    Event (EVT0)
    ThermalZone (TZN0) { }
    Processor (CPU0, 0, 0, 0) { }
    PowerResource (PWR0, 0, 0) { Method (_ON) { } Method (_OFF) { } Method (_STA) { Return (1) } }
}

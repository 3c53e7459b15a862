//! The operations: their numbers, and what follows each in the code (ACPI Specification 6.5, 20.3).

/// What follows an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// A value, or an expression that yields one.
    Term,
    /// A place to store to.
    Target,
    /// A place that need not be there.
    Wanted,
    /// A name.
    Name,
    /// A number of one, two or four bytes.
    Byte,
    Word,
    Double,
    /// The length of all that belongs to the operation.
    Package,
    /// Values until the end of the package.
    Elements,
}

/// Where an operation may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Only by itself.
    Statement,
    /// Also where a value is wanted.
    Anywhere,
}

/// An operation: its name in the errors, where it may stand, what follows it.
pub(crate) type Operation = (&'static str, Place, &'static [Follows]);

/// The prefix of operations of two bytes.
pub(crate) const EXTENDED: u8 = 0x5b;
/// The call of a method, which is not in the code as an operation.
pub(crate) const CALL: u16 = 0xffff;

pub(crate) const ALIAS: u16 = 0x06;
pub(crate) const NAME: u16 = 0x08;
pub(crate) const SCOPE: u16 = 0x10;
pub(crate) const BUFFER: u16 = 0x11;
pub(crate) const PACKAGE: u16 = 0x12;
pub(crate) const VARIABLE_PACKAGE: u16 = 0x13;
pub(crate) const METHOD: u16 = 0x14;
pub(crate) const EXTERNAL: u16 = 0x15;
pub(crate) const STORE: u16 = 0x70;
pub(crate) const REFERENCE_OF: u16 = 0x71;
pub(crate) const ADD: u16 = 0x72;
pub(crate) const CONCATENATE: u16 = 0x73;
pub(crate) const SUBTRACT: u16 = 0x74;
pub(crate) const INCREMENT: u16 = 0x75;
pub(crate) const DECREMENT: u16 = 0x76;
pub(crate) const MULTIPLY: u16 = 0x77;
pub(crate) const DIVIDE: u16 = 0x78;
pub(crate) const SHIFT_LEFT: u16 = 0x79;
pub(crate) const SHIFT_RIGHT: u16 = 0x7a;
pub(crate) const AND: u16 = 0x7b;
pub(crate) const NAND: u16 = 0x7c;
pub(crate) const OR: u16 = 0x7d;
pub(crate) const NOR: u16 = 0x7e;
pub(crate) const XOR: u16 = 0x7f;
pub(crate) const NOT: u16 = 0x80;
pub(crate) const FIND_LEFT: u16 = 0x81;
pub(crate) const FIND_RIGHT: u16 = 0x82;
pub(crate) const DEREFERENCE: u16 = 0x83;
pub(crate) const CONCATENATE_RESOURCES: u16 = 0x84;
pub(crate) const MODULO: u16 = 0x85;
pub(crate) const NOTIFY: u16 = 0x86;
pub(crate) const SIZE_OF: u16 = 0x87;
pub(crate) const INDEX: u16 = 0x88;
pub(crate) const MATCH: u16 = 0x89;
pub(crate) const CREATE_DOUBLE_FIELD: u16 = 0x8a;
pub(crate) const CREATE_WORD_FIELD: u16 = 0x8b;
pub(crate) const CREATE_BYTE_FIELD: u16 = 0x8c;
pub(crate) const CREATE_BIT_FIELD: u16 = 0x8d;
pub(crate) const OBJECT_TYPE: u16 = 0x8e;
pub(crate) const CREATE_QUAD_FIELD: u16 = 0x8f;
pub(crate) const LOGICAL_AND: u16 = 0x90;
pub(crate) const LOGICAL_OR: u16 = 0x91;
pub(crate) const LOGICAL_NOT: u16 = 0x92;
pub(crate) const EQUAL: u16 = 0x93;
pub(crate) const GREATER: u16 = 0x94;
pub(crate) const LESS: u16 = 0x95;
pub(crate) const TO_BUFFER: u16 = 0x96;
pub(crate) const TO_DECIMAL: u16 = 0x97;
pub(crate) const TO_HEXADECIMAL: u16 = 0x98;
pub(crate) const TO_INTEGER: u16 = 0x99;
pub(crate) const TO_STRING: u16 = 0x9c;
pub(crate) const COPY: u16 = 0x9d;
pub(crate) const MIDDLE: u16 = 0x9e;
pub(crate) const CONTINUE: u16 = 0x9f;
pub(crate) const IF: u16 = 0xa0;
pub(crate) const ELSE: u16 = 0xa1;
pub(crate) const WHILE: u16 = 0xa2;
pub(crate) const NOTHING: u16 = 0xa3;
pub(crate) const RETURN: u16 = 0xa4;
pub(crate) const BREAK: u16 = 0xa5;
pub(crate) const BREAK_POINT: u16 = 0xcc;
pub(crate) const MUTEX: u16 = 0x5b01;
pub(crate) const EVENT: u16 = 0x5b02;
pub(crate) const REFERENCE_IF_ANY: u16 = 0x5b12;
pub(crate) const CREATE_FIELD: u16 = 0x5b13;
pub(crate) const STALL: u16 = 0x5b21;
pub(crate) const SLEEP: u16 = 0x5b22;
pub(crate) const ACQUIRE: u16 = 0x5b23;
pub(crate) const SIGNAL: u16 = 0x5b24;
pub(crate) const WAIT: u16 = 0x5b25;
pub(crate) const RESET: u16 = 0x5b26;
pub(crate) const RELEASE: u16 = 0x5b27;
pub(crate) const FATAL: u16 = 0x5b32;
pub(crate) const REGION: u16 = 0x5b80;
pub(crate) const FIELD: u16 = 0x5b81;
pub(crate) const DEVICE: u16 = 0x5b82;
pub(crate) const PROCESSOR: u16 = 0x5b83;
pub(crate) const POWER_RESOURCE: u16 = 0x5b84;
pub(crate) const THERMAL_ZONE: u16 = 0x5b85;
pub(crate) const INDEX_FIELD: u16 = 0x5b86;
pub(crate) const BANK_FIELD: u16 = 0x5b87;

/// What is known of an operation; `None`: nothing.
#[rustfmt::skip]
pub(crate) fn operation(code: u16) -> Option<Operation> {
    use Follows::{Byte, Double, Elements, Name, Package, Target, Term, Wanted, Word};
    use Place::{Anywhere, Statement};
    Some(match code {
        ALIAS => ("Alias", Statement, &[Name, Name]),
        NAME => ("Name", Statement, &[Name, Term]),
        SCOPE => ("Scope", Statement, &[Package, Name]),
        BUFFER => ("Buffer", Anywhere, &[Package, Term]),
        PACKAGE => ("Package", Anywhere, &[Package, Byte, Elements]),
        VARIABLE_PACKAGE => ("VarPackage", Anywhere, &[Package, Term, Elements]),
        METHOD => ("Method", Statement, &[Package, Name, Byte]),
        EXTERNAL => ("External", Statement, &[Name, Byte, Byte]),
        STORE => ("Store", Anywhere, &[Term, Target]),
        REFERENCE_OF => ("RefOf", Anywhere, &[Target]),
        ADD => ("Add", Anywhere, &[Term, Term, Target]),
        CONCATENATE => ("Concatenate", Anywhere, &[Term, Term, Target]),
        SUBTRACT => ("Subtract", Anywhere, &[Term, Term, Target]),
        INCREMENT => ("Increment", Anywhere, &[Target]),
        DECREMENT => ("Decrement", Anywhere, &[Target]),
        MULTIPLY => ("Multiply", Anywhere, &[Term, Term, Target]),
        DIVIDE => ("Divide", Anywhere, &[Term, Term, Target, Target]),
        SHIFT_LEFT => ("ShiftLeft", Anywhere, &[Term, Term, Target]),
        SHIFT_RIGHT => ("ShiftRight", Anywhere, &[Term, Term, Target]),
        AND => ("And", Anywhere, &[Term, Term, Target]),
        NAND => ("Nand", Anywhere, &[Term, Term, Target]),
        OR => ("Or", Anywhere, &[Term, Term, Target]),
        NOR => ("Nor", Anywhere, &[Term, Term, Target]),
        XOR => ("Xor", Anywhere, &[Term, Term, Target]),
        NOT => ("Not", Anywhere, &[Term, Target]),
        FIND_LEFT => ("FindSetLeftBit", Anywhere, &[Term, Target]),
        FIND_RIGHT => ("FindSetRightBit", Anywhere, &[Term, Target]),
        DEREFERENCE => ("DerefOf", Anywhere, &[Term]),
        CONCATENATE_RESOURCES => ("ConcatenateResTemplate", Anywhere, &[Term, Term, Target]),
        MODULO => ("Mod", Anywhere, &[Term, Term, Target]),
        NOTIFY => ("Notify", Statement, &[Target, Term]),
        SIZE_OF => ("SizeOf", Anywhere, &[Term]),
        INDEX => ("Index", Anywhere, &[Term, Term, Target]),
        MATCH => ("Match", Anywhere, &[Term, Byte, Term, Byte, Term, Term]),
        CREATE_DOUBLE_FIELD => ("CreateDWordField", Statement, &[Term, Term, Name]),
        CREATE_WORD_FIELD => ("CreateWordField", Statement, &[Term, Term, Name]),
        CREATE_BYTE_FIELD => ("CreateByteField", Statement, &[Term, Term, Name]),
        CREATE_BIT_FIELD => ("CreateBitField", Statement, &[Term, Term, Name]),
        CREATE_QUAD_FIELD => ("CreateQWordField", Statement, &[Term, Term, Name]),
        CREATE_FIELD => ("CreateField", Statement, &[Term, Term, Term, Name]),
        OBJECT_TYPE => ("ObjectType", Anywhere, &[Target]),
        LOGICAL_AND => ("LAnd", Anywhere, &[Term, Term]),
        LOGICAL_OR => ("LOr", Anywhere, &[Term, Term]),
        LOGICAL_NOT => ("LNot", Anywhere, &[Term]),
        EQUAL => ("LEqual", Anywhere, &[Term, Term]),
        GREATER => ("LGreater", Anywhere, &[Term, Term]),
        LESS => ("LLess", Anywhere, &[Term, Term]),
        TO_BUFFER => ("ToBuffer", Anywhere, &[Term, Target]),
        TO_DECIMAL => ("ToDecimalString", Anywhere, &[Term, Target]),
        TO_HEXADECIMAL => ("ToHexString", Anywhere, &[Term, Target]),
        TO_INTEGER => ("ToInteger", Anywhere, &[Term, Target]),
        TO_STRING => ("ToString", Anywhere, &[Term, Term, Target]),
        COPY => ("CopyObject", Anywhere, &[Term, Target]),
        MIDDLE => ("Mid", Anywhere, &[Term, Term, Term, Target]),
        CONTINUE => ("Continue", Statement, &[]),
        IF => ("If", Statement, &[Package, Term]),
        ELSE => ("Else", Statement, &[Package]),
        WHILE => ("While", Statement, &[Package, Term]),
        NOTHING => ("Noop", Statement, &[]),
        RETURN => ("Return", Statement, &[Term]),
        BREAK => ("Break", Statement, &[]),
        BREAK_POINT => ("BreakPoint", Statement, &[]),
        MUTEX => ("Mutex", Statement, &[Name, Byte]),
        EVENT => ("Event", Statement, &[Name]),
        REFERENCE_IF_ANY => ("CondRefOf", Anywhere, &[Wanted, Target]),
        STALL => ("Stall", Statement, &[Term]),
        SLEEP => ("Sleep", Statement, &[Term]),
        ACQUIRE => ("Acquire", Anywhere, &[Target, Word]),
        SIGNAL => ("Signal", Statement, &[Target]),
        WAIT => ("Wait", Anywhere, &[Target, Term]),
        RESET => ("Reset", Statement, &[Target]),
        RELEASE => ("Release", Statement, &[Target]),
        FATAL => ("Fatal", Statement, &[Byte, Double, Term]),
        REGION => ("OperationRegion", Statement, &[Name, Byte, Term, Term]),
        FIELD => ("Field", Statement, &[Package, Name, Byte]),
        INDEX_FIELD => ("IndexField", Statement, &[Package, Name, Name, Byte]),
        BANK_FIELD => ("BankField", Statement, &[Package, Name, Name, Term, Byte]),
        DEVICE => ("Device", Statement, &[Package, Name]),
        PROCESSOR => ("Processor", Statement, &[Package, Name, Byte, Double, Byte]),
        POWER_RESOURCE => ("PowerResource", Statement, &[Package, Name, Byte, Word]),
        THERMAL_ZONE => ("ThermalZone", Statement, &[Package, Name]),
        _ => return None,
    })
}

//! Requests against a server's reading of them, and answers, right ones and any others.

use p9::*;

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A field as a server reads it: the sizes of numbers, or a string.
#[derive(Clone, Copy)]
enum Field {
    Short,
    Word,
    Long,
    Text,
}
use Field::{Long, Short, Text, Word};

/// What a server finds in a message.
#[derive(Debug, PartialEq)]
enum Value {
    Number(u64),
    Text(Vec<u8>),
}

fn number(value: impl Into<u64>) -> Value {
    Value::Number(value.into())
}

fn text(value: &[u8]) -> Value {
    Value::Text(value.to_vec())
}

fn read(fields: &[Field], mut bytes: &[u8]) -> Vec<Value> {
    let mut take = |length: usize| {
        let (taken, rest) = bytes.split_at(length);
        bytes = rest;
        taken
    };
    let little = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    let values = fields
        .iter()
        .map(|field| match field {
            Short => Value::Number(little(take(2))),
            Word => Value::Number(little(take(4))),
            Long => Value::Number(little(take(8))),
            Text => {
                let length = little(take(2)) as usize;
                Value::Text(take(length).to_vec())
            }
        })
        .collect();
    assert!(bytes.is_empty(), "{} bytes behind the last field", bytes.len());
    values
}

/// The fields of a request's body by the protocol's text, and what is to stand in them.
fn expected(request: &Request<'_>) -> (Vec<Field>, Vec<Value>) {
    let n = |value: &u32| number(*value);
    match request {
        Request::Version { message_size } => (vec![Word, Text], vec![n(message_size), text(b"9P2000.L")]),
        Request::Attach { fid, user, tree, user_number } => (
            vec![Word, Word, Text, Text, Word],
            vec![n(fid), number(u32::MAX), text(user), text(tree), n(user_number)],
        ),
        Request::Walk { fid, new_fid, names } => {
            let mut fields = vec![Word, Word, Short];
            let mut values = vec![n(fid), n(new_fid), number(names.len() as u64)];
            for name in *names {
                fields.push(Text);
                values.push(text(name));
            }
            (fields, values)
        }
        Request::Open { fid, flags } => (vec![Word, Word], vec![n(fid), n(flags)]),
        Request::Create { fid, name, flags, mode, group } => {
            (vec![Word, Text, Word, Word, Word], vec![n(fid), text(name), n(flags), n(mode), n(group)])
        }
        Request::Symlink { directory, name, target, group } => {
            (vec![Word, Text, Text, Word], vec![n(directory), text(name), text(target), n(group)])
        }
        Request::MakeNode { directory, name, mode, major, minor, group } => (
            vec![Word, Text, Word, Word, Word, Word],
            vec![n(directory), text(name), n(mode), n(major), n(minor), n(group)],
        ),
        Request::MakeDirectory { directory, name, mode, group } => {
            (vec![Word, Text, Word, Word], vec![n(directory), text(name), n(mode), n(group)])
        }
        Request::Link { directory, fid, name } => {
            (vec![Word, Word, Text], vec![n(directory), n(fid), text(name)])
        }
        Request::Rename { old_directory, old_name, new_directory, new_name } => (
            vec![Word, Text, Word, Text],
            vec![n(old_directory), text(old_name), n(new_directory), text(new_name)],
        ),
        Request::Unlink { directory, name, flags } => {
            (vec![Word, Text, Word], vec![n(directory), text(name), n(flags)])
        }
        Request::ReadLink { fid } | Request::Space { fid } | Request::Clunk { fid } => {
            (vec![Word], vec![n(fid)])
        }
        Request::GetAttributes { fid, mask } => (vec![Word, Long], vec![n(fid), number(*mask)]),
        Request::SetAttributes { fid, change } => {
            (vec![Word, Word, Word, Word, Word, Long, Long, Long, Long, Long], changed(*fid, change))
        }
        Request::ReadDirectory { fid, offset, count }
        | Request::Read { fid, offset, count }
        | Request::Write { fid, offset, count } => {
            (vec![Word, Long, Word], vec![n(fid), number(*offset), n(count)])
        }
        Request::Sync { fid, is_data_only } => (vec![Word, Word], vec![n(fid), number(*is_data_only)]),
        Request::AttributeWalk { fid, new_fid, name } => {
            (vec![Word, Word, Text], vec![n(fid), n(new_fid), text(name)])
        }
        Request::AttributeCreate { fid, name, size, flags } => {
            (vec![Word, Text, Long, Word], vec![n(fid), text(name), number(*size), n(flags)])
        }
    }
}

fn changed(fid: u32, change: &Change) -> Vec<Value> {
    let time = |time: Option<TimeChange>, bit: u64| match time {
        None => (0, 0, 0),
        Some(TimeChange::Now) => (bit, 0, 0),
        Some(TimeChange::To(seconds, nanoseconds)) => (bit | bit << 3, seconds as u64, nanoseconds.into()),
    };
    let (accessed, modified) = (time(change.accessed, 0x10), time(change.modified, 0x20));
    let valid = u64::from(change.mode.is_some())
        | u64::from(change.user.is_some()) << 1
        | u64::from(change.group.is_some()) << 2
        | u64::from(change.size.is_some()) << 3
        | accessed.0
        | modified.0;
    let numbers = [
        fid.into(),
        valid,
        change.mode.unwrap_or(0).into(),
        change.user.unwrap_or(0).into(),
        change.group.unwrap_or(0).into(),
        change.size.unwrap_or(0),
        accessed.1,
        accessed.2,
        modified.1,
        modified.2,
    ];
    numbers.map(Value::Number).into()
}

fn check(request: &Request<'_>) {
    let mut bytes = request.encode().expect("it fits");
    let (tag, data) = (0x1234, 4096);
    let sent = seal(&mut bytes, data, tag).expect("so does what follows it");
    assert_eq!(sent, if matches!(request, Request::Version { .. }) { NO_TAG } else { tag });
    let header = Header::read(&bytes, bytes.len() + data).expect("it was just written");
    assert_eq!(header, Header { length: bytes.len() + data, kind: request.kind(), tag: sent });
    let (fields, values) = expected(request);
    assert_eq!(read(&fields, &bytes[HEADER_LENGTH..]), values, "{request:?}");
}

/// A request of each type with these numbers and strings.
fn requests<'a>(r: &mut Random, names: &'a [&'a [u8]]) -> Vec<Request<'a>> {
    let (name, other) = (names[0], names[names.len() - 1]);
    let mut w = || r.next() as u32;
    let (fid, new_fid, flags, mode, group) = (w(), w(), w(), w(), w());
    let (offset, size) = (r.next(), r.next());
    let time = |bits: u64| match bits % 3 {
        0 => None,
        1 => Some(TimeChange::Now),
        _ => Some(TimeChange::To(bits as i64, (bits % 1_000_000_000) as u32)),
    };
    let some = |bits: u64, value: u32| (bits & 1 != 0).then_some(value);
    let change = Change {
        mode: some(r.next(), mode),
        user: some(r.next(), flags),
        group: some(r.next(), group),
        size: (r.next() & 1 != 0).then_some(size),
        accessed: time(r.next()),
        modified: time(r.next()),
    };
    vec![
        Request::Version { message_size: fid },
        Request::Attach { fid, user: name, tree: other, user_number: group },
        Request::Walk { fid, new_fid, names },
        Request::Walk { fid, new_fid, names: &[] },
        Request::Open { fid, flags },
        Request::Create { fid, name, flags, mode, group },
        Request::Symlink { directory: fid, name, target: other, group },
        Request::MakeNode { directory: fid, name, mode, major: flags, minor: new_fid, group },
        Request::MakeDirectory { directory: fid, name, mode, group },
        Request::Link { directory: fid, fid: new_fid, name },
        Request::Rename { old_directory: fid, old_name: name, new_directory: new_fid, new_name: other },
        Request::Unlink { directory: fid, name, flags },
        Request::ReadLink { fid },
        Request::GetAttributes { fid, mask: size },
        Request::SetAttributes { fid, change },
        Request::ReadDirectory { fid, offset, count: flags },
        Request::Read { fid, offset, count: flags },
        Request::Write { fid, offset, count: flags },
        Request::Sync { fid, is_data_only: flags & 1 != 0 },
        Request::Space { fid },
        Request::AttributeWalk { fid, new_fid, name },
        Request::AttributeCreate { fid, name, size, flags },
        Request::Clunk { fid },
    ]
}

#[test]
fn a_server_reads_what_was_meant() {
    let mut random = Random(1);
    for _ in 0..2000 {
        let count = 1 + random.below(16);
        let names: Vec<Vec<u8>> = (0..count).map(|_| random.bytes(300)).collect();
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        for request in requests(&mut random, &names) {
            check(&request);
        }
    }
}

#[test]
fn known_bytes() {
    let mut bytes = Request::Version { message_size: 8192 }.encode().unwrap();
    seal(&mut bytes, 0, 5).unwrap();
    assert_eq!(bytes, b"\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\x009P2000.L");
    let mut bytes = Request::Walk { fid: 1, new_fid: 2, names: &[b"ab", b"c"] }.encode().unwrap();
    seal(&mut bytes, 0, 3).unwrap();
    assert_eq!(bytes, b"\x18\0\0\0\x6e\x03\0\x01\0\0\0\x02\0\0\0\x02\0\x02\0ab\x01\0c");
    let mut bytes = Request::Write { fid: 1, offset: 2, count: 3 }.encode().unwrap();
    assert_eq!(bytes.len(), WRITE_HEADER);
    seal(&mut bytes, 3, 4).unwrap();
    assert_eq!(bytes[..7], *b"\x1a\0\0\0\x76\x04\0");
}

#[test]
fn strings_that_are_too_long_are_refused() {
    let long = vec![b'x'; 65_536];
    assert_eq!(Request::Link { directory: 1, fid: 2, name: &long }.encode(), Err(Error::TooLong));
    assert!(Request::Link { directory: 1, fid: 2, name: &long[1..] }.encode().is_ok());
    assert_eq!(seal(&mut [0; 6], 0, 1), Err(Error::TooLong));
    assert_eq!(seal(&mut [0; 7], usize::MAX, 1), Err(Error::TooLong));
}

fn qid_bytes(kind: u8, version: u32, path: u64) -> Vec<u8> {
    [&[kind][..], &version.to_le_bytes(), &path.to_le_bytes()].concat()
}

fn attribute_bytes(valid: u64, size: u64) -> Vec<u8> {
    let mut bytes = valid.to_le_bytes().to_vec();
    bytes.extend(qid_bytes(0x80, 7, 99));
    for word in [0o040755_u32, 1000, 100] {
        bytes.extend(word.to_le_bytes());
    }
    for long in [2, 0, size, 4096, 8, 11, 12, 21, 22, 31, 2_000_000_000, 41, 42, 0, 0] {
        bytes.extend(u64::to_le_bytes(long));
    }
    bytes
}

fn entry_bytes(name: &[u8], next: u64) -> Vec<u8> {
    let mut bytes = qid_bytes(0, 1, 5);
    bytes.extend(next.to_le_bytes());
    bytes.push(8);
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend(name);
    bytes
}

fn listing(entries: &[Vec<u8>]) -> Vec<u8> {
    let entries = entries.concat();
    [&(entries.len() as u32).to_le_bytes()[..], &entries].concat()
}

#[test]
fn right_answers_are_understood() {
    assert_eq!(version(b"\0\x20\0\0\x08\x009P2000.L"), Ok(Version { message_size: 8192, is_known: true }));
    assert_eq!(version(b"\0\x20\0\0\x07\0unknown"), Ok(Version { message_size: 8192, is_known: false }));
    let directory = Qid { kind: 0x80, version: 7, path: 99 };
    assert_eq!(qid(&qid_bytes(0x80, 7, 99)), Ok(directory));
    assert!(directory.is_directory());
    let found = [&[1, 0][..], &qid_bytes(0x80, 7, 99)].concat();
    assert_eq!(walked(&found, 2), Ok((1, Some(directory))));
    assert_eq!(walked(&[0, 0], 0), Ok((0, None)));
    let attributes = attributes(&attribute_bytes(0x7ff, 100)).unwrap();
    assert_eq!((attributes.qid, attributes.mode, attributes.links), (directory, 0o040755, 2));
    assert_eq!((attributes.user, attributes.group, attributes.size), (1000, 100, 100));
    assert_eq!((attributes.accessed, attributes.modified), ((11, 12), (21, 22)));
    assert_eq!(attributes.changed, (31, 999_999_999), "nanoseconds stay below a second");
    assert_eq!(link_target(b"\x03\0a/b"), Ok(&b"a/b"[..]));
    assert_eq!(count(&[3, 0, 0, 0], 3), Ok(3));
    assert_eq!(failure(&[2, 0, 0, 0]), Ok(2));
    let body = listing(&[entry_bytes(b".", 1), entry_bytes(b"file", 77)]);
    let names = Entries::new(&body, 1000).unwrap().all().unwrap();
    assert_eq!(names.len(), 2);
    assert_eq!((names[1].name, names[1].next, names[1].kind, names[1].qid.path), (&b"file"[..], 77, 8, 5));
}

#[test]
fn answers_out_of_bounds_are_refused() {
    let broken = |outcome: bool| assert!(outcome);
    broken(walked(&[&[3, 0][..], &[0; 39]].concat(), 2).is_err());
    broken(walked(&[&[2, 0][..], &[0; 13]].concat(), 2).is_err());
    broken(attributes(&attribute_bytes(0x7fe, 100)).is_err());
    broken(attributes(&attribute_bytes(0x7ff, 1 << 63)).is_err());
    broken(link_target(b"\0\0").is_err());
    broken(link_target(b"\x03\0a\0b").is_err());
    broken(link_target(&[&[0x00, 0x10][..], &[b'x'; 4096]].concat()).is_err());
    broken(link_target(b"\x03\0a/b?").is_err());
    broken(count(&[4, 0, 0, 0], 3).is_err());
    broken(failure(&[0, 0, 0, 0]).is_err());
    broken(failure(&[0xff, 0xff, 0xff, 0xff]).is_err());
    for name in [&b""[..], b"a/b", b"a\0", &[b'x'; 256]] {
        let body = listing(&[entry_bytes(name, 1)]);
        broken(Entries::new(&body, 1000).unwrap().all().is_err());
    }
    broken(Entries::new(&listing(&[entry_bytes(b"name", 1)]), 10).is_err());
    for length in [0_u32, 6, 12, u32::MAX] {
        let bytes = [&length.to_le_bytes()[..], &[119, 0, 0]].concat();
        broken(Header::read(&bytes, 11).is_err());
    }
    broken(Header::read(&[11, 0, 0, 0], 11).is_err());
}

/// Calls everything that reads answers.
fn understand(body: &[u8], most: usize) {
    let _ = (version(body), qid(body), opened(body), walked(body, most.min(16)), attributes(body));
    let _ = (size(body), nothing(body), failure(body), space(body));
    if let Ok(count) = count(body, most) {
        assert!(count <= most);
    }
    if let Ok(target) = link_target(body) {
        assert!(!target.is_empty() && target.len() <= TARGET_MAX && !target.contains(&0));
    }
    if let Ok(entries) = Entries::new(body, most).and_then(Entries::all) {
        let is_name = |name: &[u8]| !name.is_empty() && name.len() <= NAME_MAX && !name.contains(&b'/');
        assert!(entries.iter().all(|entry| is_name(entry.name)));
        assert!(entries.len() * 25 <= most, "no more than fits");
    }
    if let Ok(header) = Header::read(body, body.len()) {
        assert!((HEADER_LENGTH..=body.len()).contains(&header.length));
    }
}

#[test]
fn any_bytes_are_an_answer_or_an_error() {
    let mut random = Random(2);
    for _ in 0..200_000 {
        let bytes = random.bytes(200);
        understand(&bytes, random.below(256));
    }
}

#[test]
fn answers_with_flipped_bits_and_cut_ends_are_survived() {
    let right = [
        b"\0\x20\0\0\x08\x009P2000.L".to_vec(),
        [&[1, 0][..], &qid_bytes(0x80, 7, 99)].concat(),
        attribute_bytes(0x7ff, 100),
        b"\x03\0a/b".to_vec(),
        listing(&[entry_bytes(b".", 1), entry_bytes(b"file", 77), entry_bytes(b"another", 78)]),
        vec![0; 60],
    ];
    let mut random = Random(3);
    for body in &right {
        for length in 0..body.len() {
            understand(&body[..length], 4096);
        }
        for _ in 0..20_000 {
            let mut body = body.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(body.len());
                body[at] ^= 1 << random.below(8);
            }
            understand(&body, 4096);
        }
    }
}

#[test]
fn fids_are_given_to_one_at_a_time() {
    let (mut fids, mut taken, mut random) = (Fids::new(), Vec::new(), Random(4));
    for _ in 0..10_000 {
        if random.below(5) < 3 || taken.is_empty() {
            let fid = fids.take().unwrap();
            assert!(!taken.contains(&fid) && fid != NO_FID);
            taken.push(fid);
        } else {
            fids.give_back(taken.swap_remove(random.below(taken.len())));
        }
        assert_eq!(fids.in_use(), taken.len());
    }
}

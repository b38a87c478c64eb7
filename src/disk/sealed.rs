//! Lines of JSON that carry their own checksum, so that damage is seen and never believed.

use serde::Serialize;

/// Where the checksum begins.
const CHECKSUM: &[u8] = br#"{"crc":""#;
/// Where what it is of begins: the other members of the object.
pub(crate) const BODY: usize = CHECKSUM.len() + r#"00000000","#.len();

/// Appends a line: the object with its checksum (CRC-32 of what follows it) as the first member.
pub(crate) fn seal(out: &mut Vec<u8>, object: &impl Serialize) {
    out.extend_from_slice(CHECKSUM);
    let checksum = out.len();
    out.extend_from_slice(br#"00000000""#);
    let comma = out.len();
    serde_json::to_writer(&mut *out, object).expect("numbers, times, strings and documents are JSON");
    out[comma] = b',';
    let crc = format!("{:08x}", crc32fast::hash(&out[comma + 1..]));
    out[checksum..checksum + crc.len()].copy_from_slice(crc.as_bytes());
    out.push(b'\n');
}

/// What follows the checksum of a line, which comes without its line end. `None` when it is damaged or none of ours.
pub(crate) fn body(line: &[u8]) -> Option<&[u8]> {
    let body = line.strip_prefix(CHECKSUM).and_then(|_| line.get(BODY..))?;
    let crc = str::from_utf8(&line[CHECKSUM.len()..CHECKSUM.len() + 8]).ok()?;
    (u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(body)).then_some(body)
}

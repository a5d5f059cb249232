//! The compact form of a settled result: a key made of tenant and id, and a value with the rest.
//!
//! Key: tenant, a zero byte, the 32 bytes of the id. Value: a version, two bytes of flags, both
//! digests, then numbers as zigzag varints (the origin's partition, offset and time; the claim and
//! what was recomputed), and the key id. Log and topic of origins are the same for all results of
//! an index and are passed in. The value of an [`Entry`] has its offset before that, as what it is
//! more than the origin's: where an index follows the log itself that is a zero. One result has one
//! form: whatever [`decode`] takes, [`encode`] writes again with the same bytes.
//!
//! This room knows bytes only; where they are kept is not its business.

use std::sync::Arc;

use flk_contract::{
    Code, Digest, Facts, Form, LogId, LogTime, Nano, Origin, Position, Settled, Tenant, limits, signals::Regime,
};

use crate::{Entry, Place};

/// The version of the value's form, its first byte.
pub const VERSION: u8 = 2;

/// The id's bytes in a key.
const ID: usize = 32;
/// Where the numbers begin: after version, flags and two digests.
const NUMBERS: usize = 3 + 2 * 32;
/// Partition, offset, time and three numbers, each of 19 bytes at the most; the longest value
/// without a key id.
const VALUE_BYTES: usize = NUMBERS + 6 * 19;

/// A result that has no compact form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a result with code `{0}` settles nothing, so it is never stored")]
pub struct NotSettled(pub Code);

/// Bytes that are no settled result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Another version wrote them, or nobody did.
    #[error("a value of version {VERSION} was expected, and one of version {0} came")]
    Version(u8),
    /// They end too early.
    #[error("the value ends too early")]
    Short,
    /// They go on after the end.
    #[error("the value goes on after its end")]
    Long,
    /// A flag that is never set, or one that contradicts a number.
    #[error("the value has flags that are never written")]
    Flags,
    /// A number that is too big, or longer than it needs to be.
    #[error("the value has a number that is never written so")]
    Number,
    /// A key id that is not UTF-8.
    #[error("the value's key id is not UTF-8")]
    KeyId,
    /// A key that is not tenant, zero byte and id.
    #[error("the key is not a tenant, a zero byte and an id of 32 bytes")]
    Key,
}

/// The key of a settled id: tenant, a zero byte (no tenant has one), the 32 bytes of the id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdKey {
    bytes: [u8; limits::TENANT_BYTES_MAX + 1 + ID],
    len: u8,
}

impl IdKey {
    /// The key of an id. `None` for an id that is not derived (64 lower-case hex digits): such a
    /// one never settles.
    pub fn new(tenant: &Tenant, pcs_id: &str) -> Option<Self> {
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if !pcs_id.bytes().all(lower) {
            return None;
        }
        let tenant = tenant.as_str().as_bytes();
        let mut bytes = [0; limits::TENANT_BYTES_MAX + 1 + ID];
        let len = tenant.len() + 1 + ID;
        bytes.get_mut(..tenant.len())?.copy_from_slice(tenant);
        hex::decode_to_slice(pcs_id, bytes.get_mut(tenant.len() + 1..len)?).ok()?;
        Some(Self { bytes, len: u8::try_from(len).ok()? })
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The tenant and the id of a key.
    ///
    /// # Errors
    /// [`Undecodable::Key`].
    pub fn parse(bytes: &[u8]) -> Result<(Tenant, Arc<str>), Undecodable> {
        let (tenant, id) = bytes.split_last_chunk::<ID>().ok_or(Undecodable::Key)?;
        let Some((0, tenant)) = tenant.split_last() else { return Err(Undecodable::Key) };
        let tenant = core::str::from_utf8(tenant).ok().and_then(|name| Tenant::new(name).ok());
        Ok((tenant.ok_or(Undecodable::Key)?, Digest(*id).to_string().into()))
    }
}

impl core::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

// The first byte of flags: two bits each for code, regime and form; the rest is never set.
const fn code_bits(code: Code) -> Option<u8> {
    match code {
        Code::Ok => Some(0),
        Code::RegimeMismatch => Some(1),
        Code::BudgetDeviation => Some(2),
        Code::Degraded => Some(3),
        _ => None,
    }
}
const CODES: [Code; 4] = [Code::Ok, Code::RegimeMismatch, Code::BudgetDeviation, Code::Degraded];

const fn regime_bits(regime: Option<Regime>) -> u8 {
    match regime {
        None => 0,
        Some(Regime::Sticky) => 1,
        Some(Regime::Mixed) => 2,
        Some(Regime::NonSticky) => 3,
    }
}
const REGIMES: [Option<Regime>; 4] = [None, Some(Regime::Sticky), Some(Regime::Mixed), Some(Regime::NonSticky)];

const fn form_bits(form: Option<Form>) -> u8 {
    match form {
        None => 0,
        Some(Form::Payload) => 1,
        Some(Form::Content) => 2,
    }
}
const FORMS: [Option<Form>; 3] = [None, Some(Form::Payload), Some(Form::Content)];

// The second byte of flags.
const HAS_RECOMPUTED: u8 = 1;
const HAS_BUDGET: u8 = 1 << 1;
const HAS_KEY_ID: u8 = 1 << 2;
const MINUS_ZERO_CLAIM: u8 = 1 << 3;
const MINUS_ZERO_RECOMPUTED: u8 = 1 << 4;
const MINUS_ZERO_BUDGET: u8 = 1 << 5;
const NEVER_SET: u8 = 0b1100_0000;

/// Appends the value of a settled result: all of it but tenant, id, and log and topic of origins.
///
/// # Errors
/// [`NotSettled`] for a code that settles nothing; nothing is appended then.
pub fn encode(settled: &Settled, out: &mut Vec<u8>) -> Result<(), NotSettled> {
    let Settled { code, facts, origin } = settled;
    let Facts { tenant: _, pcs_id: _, d_hat, recomputed_d_hat, regime, recomputed_budget, .. } = facts;
    let code = code_bits(*code).ok_or(NotSettled(*code))?;

    let mut flags = minus_zero(*d_hat, MINUS_ZERO_CLAIM);
    if let Some(d_hat) = recomputed_d_hat {
        flags |= HAS_RECOMPUTED | minus_zero(*d_hat, MINUS_ZERO_RECOMPUTED);
    }
    if let Some(budget) = recomputed_budget {
        flags |= HAS_BUDGET | minus_zero(*budget, MINUS_ZERO_BUDGET);
    }
    if facts.key_id.is_some() {
        flags |= HAS_KEY_ID;
    }

    out.reserve(VALUE_BYTES);
    out.extend([VERSION, code | regime_bits(*regime) << 2 | form_bits(facts.signed) << 4, flags]);
    out.extend_from_slice(facts.payload_sha256.as_bytes());
    out.extend_from_slice(facts.content_sha256.as_bytes());
    write_number(origin.position.partition.into(), out);
    write_number(origin.position.offset.into(), out);
    write_number(origin.appended_at.millis().into(), out);
    write_number(d_hat.units(), out);
    for number in [recomputed_d_hat, recomputed_budget].into_iter().flatten() {
        write_number(number.units(), out);
    }
    if let Some(key_id) = &facts.key_id {
        // The last field: it ends where the value ends.
        out.extend_from_slice(key_id.as_bytes());
    }
    Ok(())
}

/// Appends the value of an entry of an index.
///
/// # Errors
/// [`NotSettled`], as [`encode`].
pub fn encode_entry(entry: &Entry, out: &mut Vec<u8>) -> Result<(), NotSettled> {
    let from = out.len();
    write_number(i128::from(entry.offset) - i128::from(entry.settled.origin.position.offset), out);
    encode(&entry.settled, out).inspect_err(|_| out.truncate(from))
}

/// Reads the value of the entry for `tenant` and `pcs_id` of an index of `place`.
///
/// # Errors
/// [`Undecodable`] for whatever [`encode_entry`] does not write.
pub fn decode_entry(place: &Place, tenant: Tenant, pcs_id: Arc<str>, mut value: &[u8]) -> Result<Entry, Undecodable> {
    let more = read_number(&mut value)?;
    let settled = decode(&place.log, &place.origins, tenant, pcs_id, value)?;
    Ok(Entry { offset: sum(settled.origin.position.offset, more)?, settled })
}

/// The offset of an entry, without reading the rest of its value.
///
/// # Errors
/// [`Undecodable`].
pub fn entry_offset(mut value: &[u8]) -> Result<i64, Undecodable> {
    let more = read_number(&mut value)?;
    header(value)?;
    let mut numbers = value.get(NUMBERS..).ok_or(Undecodable::Short)?;
    read_number(&mut numbers)?;
    sum(read_i64(&mut numbers)?, more)
}

fn sum(offset: i64, more: i128) -> Result<i64, Undecodable> {
    let sum = more.checked_add(offset.into()).and_then(|sum| i64::try_from(sum).ok());
    sum.ok_or(Undecodable::Number)
}

/// Reads the value of the result for `tenant` and `pcs_id`, whose origin lies in that log and topic.
///
/// # Errors
/// [`Undecodable`] for whatever [`encode`] does not write.
pub fn decode(
    log: &LogId,
    topic: &Arc<str>,
    tenant: Tenant,
    pcs_id: Arc<str>,
    value: &[u8],
) -> Result<Settled, Undecodable> {
    let [words, flags] = header(value)?;
    let (head, mut rest) = value.split_at_checked(NUMBERS).ok_or(Undecodable::Short)?;
    let (head, content) = head.split_last_chunk::<32>().ok_or(Undecodable::Short)?;
    let (_, payload) = head.split_last_chunk::<32>().ok_or(Undecodable::Short)?;

    let word = |at: u8| usize::from(words >> at & 0b11);
    let code = CODES.get(word(0)).ok_or(Undecodable::Flags)?;
    let regime = REGIMES.get(word(2)).ok_or(Undecodable::Flags)?;
    let signed = FORMS.get(word(4)).ok_or(Undecodable::Flags)?;

    let partition = i32::try_from(read_number(&mut rest)?).map_err(|_| Undecodable::Number)?;
    let offset = read_i64(&mut rest)?;
    let appended_at = LogTime::from_millis(read_i64(&mut rest)?);
    let mut nano = |has: bool, minus_zero: u8| match (has, flags & minus_zero != 0) {
        (true, negative) => read_nano(&mut rest, negative).map(Some),
        (false, false) => Ok(None),
        (false, true) => Err(Undecodable::Flags),
    };
    let d_hat = nano(true, MINUS_ZERO_CLAIM)?.unwrap_or_default();
    let recomputed_d_hat = nano(flags & HAS_RECOMPUTED != 0, MINUS_ZERO_RECOMPUTED)?;
    let recomputed_budget = nano(flags & HAS_BUDGET != 0, MINUS_ZERO_BUDGET)?;
    let key_id = if flags & HAS_KEY_ID != 0 {
        Some(core::str::from_utf8(rest).map_err(|_| Undecodable::KeyId)?.into())
    } else if rest.is_empty() {
        None
    } else {
        return Err(Undecodable::Long);
    };

    let facts = Facts {
        tenant,
        pcs_id,
        d_hat,
        recomputed_d_hat,
        regime: *regime,
        recomputed_budget,
        payload_sha256: Digest(*payload),
        content_sha256: Digest(*content),
        key_id,
        signed: *signed,
    };
    let position = Position { log: log.clone(), topic: topic.clone(), partition, offset };
    Ok(Settled { code: *code, facts, origin: Origin { position, appended_at } })
}

/// Checks the version and the flags that are never set; gives the flags.
fn header(value: &[u8]) -> Result<[u8; 2], Undecodable> {
    match *value {
        [VERSION, words, flags, ..] if words >> 6 == 0 && flags & NEVER_SET == 0 => Ok([words, flags]),
        [VERSION, _, _, ..] => Err(Undecodable::Flags),
        [VERSION, ..] | [] => Err(Undecodable::Short),
        [version, ..] => Err(Undecodable::Version(version)),
    }
}

fn minus_zero(number: Nano, flag: u8) -> u8 {
    // Only a zero can have another sign than its units say.
    if number == Nano::from_units(number.units()) { 0 } else { flag }
}

/// Appends a zigzag varint: seven bits a byte, low ones first, the top bit says that more follow.
pub(crate) fn write_number(number: i128, out: &mut Vec<u8>) {
    let mut zigzag = (number << 1 ^ number >> 127) as u128;
    while zigzag > 0x7f {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn read_number(rest: &mut &[u8]) -> Result<i128, Undecodable> {
    let mut zigzag = 0_u128;
    for shift in (0..128).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(Undecodable::Short)?;
        *rest = after;
        let bits = u128::from(byte & 0x7f);
        // Bits beyond the 128th, or a last byte that adds nothing: not how a number is written.
        if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
            return Err(Undecodable::Number);
        }
        zigzag |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok((zigzag >> 1) as i128 ^ -((zigzag & 1) as i128));
        }
    }
    Err(Undecodable::Number)
}

pub(crate) fn read_i64(rest: &mut &[u8]) -> Result<i64, Undecodable> {
    i64::try_from(read_number(rest)?).map_err(|_| Undecodable::Number)
}

fn read_nano(rest: &mut &[u8], minus_zero: bool) -> Result<Nano, Undecodable> {
    let units = read_number(rest)?;
    match (minus_zero, units) {
        (false, units) => Ok(Nano::from_units(units)),
        (true, 0) => Nano::from_f64(-0.0).ok_or(Undecodable::Flags),
        (true, _) => Err(Undecodable::Flags),
    }
}

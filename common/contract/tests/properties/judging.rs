//! Signatures and verdicts: what holds, what does not, and what may settle.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flk_contract::{
    Code, Digest, Form, Key, Keyring, LogTime, Record, Signing, Tenant, Verdict, canonical, judge,
    keys::Window,
    signature::{HmacForm, Signed, ed25519_public, sign_ed25519, sign_hmac},
    verdict,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::{collection::vec, option, prelude::*};
use sha2::Sha256;

use crate::{
    draft::{Draft, Pen, anything, derived, honest},
    parsing::{damage, damaged, hurt},
};

const SECRET: &[u8] = b"a secret";
const SEED: [u8; 32] = [7; 32];

fn signing(scope: Form) -> Signing {
    Signing::Required { hmac: true, ed25519: true, scope }
}

fn tenant() -> Tenant {
    Tenant::new("a").unwrap()
}

/// The keys that records are signed with, valid for some log times, among others.
fn keys(window: Window) -> Keyring {
    let other = Tenant::new("b").unwrap();
    let public = ed25519_public(&SEED);
    Keyring::new(vec![
        Key::hmac(None, other.clone(), b"another secret", Window::default()).unwrap(),
        Key::hmac(Some("h"), tenant(), SECRET, window).unwrap(),
        Key::ed25519(None, other, &ed25519_public(&[8; 32]), Window::default()).unwrap(),
        Key::ed25519(Some("e"), tenant(), &public, window).unwrap(),
    ])
    .unwrap()
}

fn at(body: &str, scope: Form) -> Verdict {
    judge(body.as_bytes(), LogTime::default(), None, signing(scope), &keys(Window::default()))
}

/// Every form in which a record can be signed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Hmac(HmacForm),
    Ed25519(Form),
}

impl Way {
    const ALL: [Self; 5] = [
        Self::Hmac(HmacForm::PayloadDigest),
        Self::Hmac(HmacForm::Payload),
        Self::Hmac(HmacForm::ContentDigest),
        Self::Ed25519(Form::Payload),
        Self::Ed25519(Form::Content),
    ];

    fn any() -> impl Strategy<Value = Self> {
        prop::sample::select(&Self::ALL[..])
    }

    fn sign(self, draft: &Draft) -> String {
        let body = draft.body(None, Pen::PLAIN);
        let signed = Signed::of(&Record::parse(body.as_bytes()).unwrap());
        match self {
            Self::Hmac(form) => sign_hmac(SECRET, &signed, form),
            Self::Ed25519(form) => sign_ed25519(&SEED, &signed, form),
        }
    }

    fn form(self) -> Form {
        match self {
            Self::Hmac(HmacForm::PayloadDigest | HmacForm::Payload) | Self::Ed25519(Form::Payload) => Form::Payload,
            Self::Hmac(HmacForm::ContentDigest) | Self::Ed25519(Form::Content) => Form::Content,
        }
    }

    fn key_id(self) -> &'static str {
        if matches!(self, Self::Hmac(_)) { "h" } else { "e" }
    }
}

/// Changes one field to another value, as somebody who sees the record in flight could.
fn tampered(draft: &Draft, field: usize) -> Draft {
    let mut other = draft.clone();
    let longer = |text: &mut String| *text = if text.ends_with('x') { "y".to_owned() } else { format!("{text}x") };
    match field {
        0 => longer(&mut other.pcs_id),
        1 => longer(&mut other.merkle_root),
        2 => other.epoch ^= 1,
        3 => longer(&mut other.shard_id),
        4 => other.d_hat ^= 1,
        5 => other.coh_star ^= 1,
        6 => other.r ^= 1,
        7 => other.budget ^= 1,
        8 => longer(&mut other.schema),
        9 => longer(&mut other.version),
        10 => longer(&mut other.regime),
        11 => other.scales[0] ^= 1,
        12 => {
            other.n_j.insert("new".to_owned(), 1);
        }
        _ => other.degraded = Some(draft.degraded != Some(true)),
    }
    other
}

/// What is true of every verdict, checked without the code that judged.
fn sound(body: &[u8], verdict: &Verdict, signing: Signing) -> Result<(), TestCaseError> {
    let record = Record::parse(body);
    prop_assert_eq!(record.is_err(), verdict.code == Code::Malformed);
    prop_assert_eq!(verdict.facts.is_none(), matches!(verdict.code, Code::Malformed | Code::BadSignature));
    prop_assert_eq!(verdict.reason.is_empty(), verdict.code == Code::Ok);
    let (Some(facts), Ok(record)) = (&verdict.facts, record) else {
        prop_assert!(verdict.candidate().is_none());
        return Ok(());
    };
    if verdict.code != Code::DHatUnavailable {
        prop_assert_eq!(&verdict.reason, &verdict::reason(verdict.code, facts));
    }
    if signing != Signing::Off {
        prop_assert!(authentic(&record), "not authentic, yet {:?}", verdict.code);
        prop_assert_eq!(&facts.tenant, &tenant());
    }
    let id = derived(&record.merkle_root, record.epoch, &record.shard_id);
    let settles = [Code::Ok, Code::RegimeMismatch, Code::BudgetDeviation, Code::Degraded].contains(&verdict.code);
    prop_assert_eq!(verdict.candidate().is_some(), settles);
    prop_assert!(!settles || (*facts.pcs_id == *id && verdict.code.meaning().accepted == Some(true)));
    Ok(())
}

/// Whether a signature of ours stands on a record, by the libraries alone.
fn authentic(record: &Record<'_>) -> bool {
    let (payload, content) = (canonical::payload(record), canonical::content(record));
    let digests = [&payload, &content].map(|text| Digest::of(text.as_bytes()).0);
    let raw = STANDARD.decode(record.sig.as_deref().unwrap_or_default()).unwrap_or_default();
    let hmac = |bytes: &[u8]| Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(bytes).finalize();
    let key = ed25519_dalek::SigningKey::from_bytes(&SEED).verifying_key();
    let ed25519 = |bytes: &[u8]| {
        ed25519_dalek::Signature::from_slice(&raw).is_ok_and(|signature| key.verify_strict(bytes, &signature).is_ok())
    };
    let hmacs = [payload.as_bytes(), digests[0].as_slice(), digests[1].as_slice()].map(hmac);
    hmacs.iter().any(|mac| mac.as_bytes().as_slice() == raw) || digests.iter().any(|digest| ed25519(digest))
}

fn named() -> impl Strategy<Value = Option<String>> {
    option::of(prop_oneof![Just("a".to_owned()), Just("b".to_owned()), any::<String>()])
}

fn any_signing() -> impl Strategy<Value = Signing> {
    let required = (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(hmac, ed25519, content)| {
        Signing::Required { hmac, ed25519, scope: if content { Form::Content } else { Form::Payload } }
    });
    prop_oneof![1 => Just(Signing::Off), 3 => required]
}

proptest! {
    #[test]
    fn any_bytes_are_judged_and_judged_the_same_again(
        bytes in vec(any::<u8>(), 0..512), tenant in named(), time in any::<i64>(), signing in any_signing(),
    ) {
        let (keys, time) = (keys(Window::default()), LogTime::from_millis(time));
        let verdict = judge(&bytes, time, tenant.as_deref(), signing, &keys);
        prop_assert_eq!(verdict.code, Code::Malformed);
        prop_assert_eq!(judge(&bytes, time, tenant.as_deref(), signing, &keys), verdict);
    }

    #[test]
    fn damaged_bodies_are_judged_and_judged_the_same_again(
        body in damaged(), tenant in named(), time in any::<i64>(), signing in any_signing(),
    ) {
        let (keys, time) = (keys(Window::default()), LogTime::from_millis(time));
        let verdict = judge(&body, time, tenant.as_deref(), signing, &keys);
        prop_assert_eq!(&judge(&body, time, tenant.as_deref(), signing, &keys), &verdict);
        if tenant.is_none() {
            sound(&body, &verdict, signing)?;
        }
    }

    /// Where the signature holds after all, the damage was to what nobody judges.
    #[test]
    fn only_an_authentic_accepted_record_with_a_derived_id_settles(
        draft in prop_oneof![3 => honest(), 1 => anything()],
        way in Way::any(), pen in Pen::any(), damage in damage(), field in option::of(0..14_usize),
    ) {
        let sig = way.sign(&draft);
        let sent = field.map_or(draft.clone(), |field| tampered(&draft, field));
        let body = hurt(sent.body(Some(&sig), pen).into_bytes(), damage);
        for signing in [Signing::Off, signing(Form::Payload), signing(Form::Content)] {
            let verdict = judge(&body, LogTime::default(), None, signing, &keys(Window::default()));
            sound(&body, &verdict, signing)?;
        }
    }

    #[test]
    fn a_signature_holds_in_its_form_however_the_record_is_written(
        draft in prop_oneof![honest(), anything()], way in Way::any(), pen in Pen::any(),
    ) {
        let body = draft.body(Some(&way.sign(&draft)), pen);
        let verdict = at(&body, Form::Payload);
        let facts = verdict.facts.clone().unwrap();
        prop_assert_eq!((facts.signed, facts.key_id.as_deref()), (Some(way.form()), Some(way.key_id())));
        prop_assert_eq!(&facts.tenant, &tenant());
        // Under the scope `content` only the content forms are taken, and judged the same.
        let strict = at(&body, Form::Content);
        if way.form() == Form::Content {
            prop_assert_eq!(&strict, &verdict);
        } else {
            prop_assert_eq!(strict.code, Code::BadSignature);
        }
        // The tenant may be named, if it is the one of the key.
        for (name, code) in [("a", verdict.code), ("b", Code::BadSignature), ("a/b", Code::BadSignature)] {
            let judged = judge(body.as_bytes(), LogTime::default(), Some(name), signing(Form::Payload), &keys(Window::default()));
            prop_assert_eq!(judged.code, code);
        }
    }

    #[test]
    fn honest_records_are_accepted(draft in honest(), way in Way::any(), pen in Pen::any()) {
        let verdict = at(&draft.body(Some(&way.sign(&draft)), pen), Form::Payload);
        prop_assert_eq!(verdict.code, Code::Ok, "{}", verdict.reason);
    }

    #[test]
    fn a_change_to_what_is_signed_breaks_the_signature(
        draft in prop_oneof![honest(), anything()], way in Way::any(), field in 0..14_usize, pen in Pen::any(),
    ) {
        let sent = tampered(&draft, field).body(Some(&way.sign(&draft)), pen);
        let covered = field < 8 || way.form() == Form::Content;
        prop_assert_eq!(at(&sent, Form::Payload).code == Code::BadSignature, covered);
        prop_assert_eq!(at(&sent, Form::Content).code, Code::BadSignature);
    }

    #[test]
    fn a_change_to_the_signature_breaks_it(
        draft in honest(), way in Way::any(), at_byte in any::<prop::sample::Index>(), mask in 1..=255_u8, pen in Pen::any(),
    ) {
        let mut raw = STANDARD.decode(way.sign(&draft)).unwrap();
        let byte = at_byte.index(raw.len());
        raw[byte] ^= mask;
        let body = draft.body(Some(&STANDARD.encode(&raw)), pen.clone());
        prop_assert_eq!(at(&body, Form::Payload).code, Code::BadSignature);
        raw.remove(byte);
        prop_assert_eq!(at(&draft.body(Some(&STANDARD.encode(raw)), pen), Form::Payload).code, Code::BadSignature);
    }

    #[test]
    fn a_key_holds_in_its_window_and_at_no_other_log_time(
        draft in honest(), way in Way::any(), (from, span) in (-1000..1000_i64, 1..1000_i64), time in -2500..2500_i64,
    ) {
        let millis = LogTime::from_millis;
        let keys = keys(Window { not_before: Some(millis(from)), not_after: Some(millis(from + span)) });
        let body = draft.body(Some(&way.sign(&draft)), Pen::PLAIN);
        for time in [time, from - 1, from, from + span - 1, from + span] {
            let code = judge(body.as_bytes(), millis(time), None, signing(Form::Payload), &keys).code;
            let expected = if (from..from + span).contains(&time) { Code::Ok } else { Code::BadSignature };
            prop_assert_eq!(code, expected);
        }
    }
}

//! Rounding, recomputation and comparisons agree with decimal arithmetic of any size.

use bigdecimal::BigDecimal;
use flk_contract::{LogTime, Nano, Signing, judge, keys::Keyring, signals};
use proptest::{collection::vec, prelude::*};

use crate::{
    cases,
    draft::{Draft, Pen, honest},
    oracle,
};

/// Doubles where rounding is hard: all bit patterns, near the limit, tiny, and ties at the tenth decimal.
fn double() -> impl Strategy<Value = f64> {
    let near =
        |centre: f64| (-50..50_i64).prop_map(move |step| f64::from_bits(centre.to_bits().wrapping_add_signed(step)));
    let sized = (any::<u64>(), 0..1_100_u64)
        .prop_map(|(bits, exponent)| f64::from_bits(bits & !(0x7ff << 52) | exponent << 52));
    let tie = (any::<bool>(), 0..2_000_000_000_000_000_u64).prop_map(|(minus, units)| {
        let text = format!("{}{}.{:09}5", if minus { "-" } else { "" }, units / 1_000_000_000, units % 1_000_000_000);
        text.parse().unwrap()
    });
    let subnormal = (0..1_u64 << 52).prop_map(f64::from_bits);
    let magnitude = prop_oneof![any::<f64>(), sized, near(1e15), near(1e-9), near(5e-10), near(4e6), tie, subnormal];
    (magnitude, any::<bool>()).prop_map(|(x, minus)| if minus { -x } else { x })
}

/// Tokens of the JSON grammar, with more digits and larger exponents than a double has.
fn token() -> impl Strategy<Value = String> {
    let digits = |most| vec(prop_oneof![3 => 0..10_u8, 1 => Just(0), 1 => Just(9)], 1..=most);
    let text = |digits: Vec<u8>| digits.iter().map(u8::to_string).collect::<String>();
    let whole = prop_oneof![Just("0".to_owned()), digits(17).prop_map(text)];
    let fraction = prop_oneof![
        2 => Just(String::new()),
        3 => digits(12).prop_map(move |digits| format!(".{}", text(digits))),
        1 => digits(40).prop_map(move |digits| format!(".{}", text(digits))),
        1 => (0..1_000_000_000_u32).prop_map(|units| format!(".{units:09}5")),
    ];
    let small = (-20..20_i32).prop_map(|power| format!("e{power}"));
    let large = (-400..400_i32).prop_map(|power| format!("E{power:+}"));
    let exponent = prop_oneof![3 => Just(String::new()), 1 => small, 1 => large];
    (any::<bool>(), whole, fraction, exponent).prop_map(|(minus, whole, fraction, exponent)| {
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        format!("{}{whole}{fraction}{exponent}", if minus { "-" } else { "" })
    })
}

fn same(nano: Option<Nano>, expected: Option<&BigDecimal>, minus_zero: bool) -> Result<(), TestCaseError> {
    match (nano, expected) {
        (Some(nano), Some(expected)) => {
            let units = BigDecimal::new(nano.units().into(), 9);
            prop_assert_eq!(&units, expected);
            let zero = *expected == BigDecimal::default();
            let written = format!("{}{}", if zero && minus_zero { "-" } else { "" }, oracle::repr(expected));
            prop_assert_eq!(nano.to_string(), written.clone());
            prop_assert_eq!(nano.to_f64().to_bits(), written.parse::<f64>().unwrap().to_bits());
        }
        (nano, expected) => prop_assert_eq!(nano.is_some(), expected.is_some()),
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn a_double_is_rounded_as_a_big_decimal_is(x in double()) {
        same(Nano::from_f64(x), oracle::claim(x).as_ref(), x.is_sign_negative())?;
    }

    #[test]
    fn a_token_is_rounded_as_a_big_decimal_is(token in token()) {
        let x: f64 = token.parse().unwrap();
        let integer = !token.contains(['.', 'e', 'E']);
        same(Nano::from_token(&token), oracle::claim(x).as_ref(), x.is_sign_negative() && !integer)?;
    }

    #[test]
    fn what_is_written_rounds_to_itself(x in double()) {
        if let Some(nano) = Nano::from_f64(x) {
            prop_assert_eq!(Nano::from_token(&nano.to_string()), Some(nano));
            let json = serde_json::to_string(&nano).unwrap();
            prop_assert_eq!(serde_json::from_str::<Nano>(&json).unwrap(), nano);
        }
    }

    #[test]
    fn a_budget_is_the_exact_one(
        d_hat in prop_oneof![-5_000_000_000..5_000_000_000_i64, 2_199_999_990..2_200_000_010_i64],
        coh_star in -1_000_000_000..6_000_000_000_i64,
        r in -1_000_000_000..3_000_000_000_i64,
    ) {
        let nano = |units: i64| Nano::from_units(units.into());
        let budget = signals::budget(nano(d_hat), nano(coh_star), nano(r));
        prop_assert_eq!(budget.units(), i128::from(oracle::units(&oracle::budget(d_hat, coh_star, r))));
    }

    #[test]
    fn a_regime_is_the_exact_one(
        d_hat in (prop::sample::select(vec![1_500_000_000, 2_600_000_000, 2_000_000_000]), -2..=2_i64),
        coh_star in 699_999_998..=700_000_002_i64,
    ) {
        let d_hat = d_hat.0 + d_hat.1;
        let nano = |units: i64| Nano::from_units(units.into());
        prop_assert_eq!(signals::regime(nano(d_hat), nano(coh_star)).as_str(), oracle::regime(d_hat, coh_star));
    }

    #[test]
    fn the_slope_is_the_upper_median_of_all(points in vec((0.0..64.0_f64, 0.0..53.0_f64), 0..65), close in any::<bool>()) {
        let squeeze = |(x, y): &(f64, f64)| if close { (x * 1e-10, *y) } else { (*x, *y) };
        let points: Vec<_> = points.iter().map(squeeze).collect();
        prop_assert_eq!(signals::theil_sen(&points), oracle::slope(&points));
    }

    /// Each claim on its bounds and a billionth beside them: the first check that fails decides.
    #[test]
    fn the_verdict_is_the_oracles(draft in honest(), flaws in vec(flaw(), 0..3), pen in Pen::any()) {
        let mut draft = draft;
        for flaw in flaws {
            flaw.put_into(&mut draft);
        }
        let body = draft.body(None, pen);
        let verdict = judge(body.as_bytes(), LogTime::default(), None, Signing::Off, &Keyring::default());
        prop_assert_eq!(verdict.code, oracle::code(&draft), "{}", verdict.reason);
    }
}

/// Something that is, or is nearly, wrong with an honest record.
#[derive(Debug, Clone)]
enum Flaw {
    DHat(i64),
    Coherence(i64),
    Budget(i64),
    Regime(&'static str),
    Version(&'static str),
    Id(String),
    Degraded(bool),
    Count(i128),
    Scale(i128),
}

fn flaw() -> impl Strategy<Value = Flaw> {
    let around =
        |bound: i64| (prop_oneof![Just(bound), Just(-bound), Just(0)], -1..=1_i64).prop_map(|(at, by)| at + by);
    let coherence = prop::sample::select(vec![0, 700_000_000, 1_050_000_000, -1_000_000_000]);
    prop_oneof![
        3 => around(150_000_000).prop_map(Flaw::DHat),
        3 => (coherence, -1..=1_i64).prop_map(|(at, by)| Flaw::Coherence(at + by)),
        3 => around(10_000_000).prop_map(Flaw::Budget),
        1 => prop::sample::select(vec!["sticky", "mixed", "non_sticky", "Mixed", ""]).prop_map(Flaw::Regime),
        1 => prop::sample::select(vec!["0.1", "0", "0.", "1.0", "0.1.x", "00.1", "0.1.2"]).prop_map(Flaw::Version),
        1 => "[0-9a-fA-F]{64}".prop_map(Flaw::Id),
        1 => any::<bool>().prop_map(Flaw::Degraded),
        1 => prop::sample::select(vec![0, -1, 1, 1 << 53, (1 << 53) - 1]).prop_map(Flaw::Count),
        1 => prop::sample::select(vec![0, -1, 1, i128::from(u64::MAX)]).prop_map(Flaw::Scale),
    ]
}

impl Flaw {
    /// What depends on the changed claim is made right again, so that each check has its turn.
    fn put_into(self, draft: &mut Draft) {
        match self {
            Self::DHat(by) => draft.d_hat += by,
            Self::Coherence(to) => draft.coh_star = to,
            Self::Budget(by) => return draft.budget += by,
            Self::Regime(regime) => return draft.regime = regime.to_owned(),
            Self::Version(version) => return draft.version = version.to_owned(),
            Self::Id(id) => return draft.pcs_id = id,
            Self::Degraded(degraded) => return draft.degraded = Some(degraded),
            Self::Count(count) => {
                draft.n_j.insert(draft.scales[0].to_string(), count);
            }
            Self::Scale(scale) => draft.scales.push(scale),
        }
        draft.budget = oracle::units(&oracle::budget(draft.d_hat, draft.coh_star, draft.r));
        draft.regime = oracle::regime(draft.d_hat, draft.coh_star).to_owned();
    }
}

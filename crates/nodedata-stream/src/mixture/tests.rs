use proptest::prelude::*;

use super::*;

#[test]
fn shares_go_by_the_largest_remainder() {
    let shares = |weights: &[u64]| Mixture::new(weights, 0).unwrap().shares().to_vec();
    assert_eq!(shares(&[7, 3]), [717, 307]);
    // Of equal remainders the first: 341⅓ each.
    assert_eq!(shares(&[1, 1, 1]), [342, 341, 341]);
    assert_eq!(shares(&[u64::MAX, u64::MAX]), [512, 512]);
    assert_eq!(shares(&[5]), [1024]);
    assert_eq!(shares(&[1023, 1]), [1023, 1]);
}

#[test]
fn decimal_weights_are_what_they_say() {
    let shares = |weights: &[f64]| Mixture::of_decimals(weights, 0).unwrap().shares().to_vec();
    assert_eq!(shares(&[0.7, 0.3]), [717, 307]);
    assert_eq!(shares(&[70.0, 30.0]), [717, 307]);
    assert_eq!(shares(&[0.1, 0.2, 0.3]), Mixture::new(&[1, 2, 3], 0).unwrap().shares());
    assert_eq!(shares(&[1e300, 1e300]), [512, 512]);
    assert_eq!(shares(&[0.123_456_789_012_345_67, 200.3]), [1, 1023]);
}

#[test]
fn a_source_that_would_never_be_read_is_a_mistake() {
    let told = |weights: &[f64]| Mixture::of_decimals(weights, 0).unwrap_err().to_string();
    assert_eq!(told(&[1.0, 0.0]), "source 1 of the mixture gets none of 1024 places");
    assert_eq!(told(&[0.0001, 1.0]), "source 0 of the mixture gets none of 1024 places");
    assert_eq!(told(&[1.0, -0.5]), "the weight of source 1 is -0.5");
    assert_eq!(told(&[f64::NAN]), "the weight of source 0 is NaN");
    assert_eq!(told(&[f64::INFINITY]), "the weight of source 0 is inf");
    assert_eq!(told(&[1e-300, 1.0]), "the weights lie too far apart");
    assert_eq!(told(&[]), "nothing is mixed");
    assert_eq!(told(&[0.0]), "nothing is mixed");
    let even = vec![1; 1025];
    assert!(Mixture::new(&even, 0).unwrap_err().to_string().starts_with("source 1024 of the mixture"));
}

#[test]
fn a_pass_ends_where_its_rule_says() {
    let mixture = Mixture::new(&[7, 3], 7).unwrap();
    let n_samples = [1000, 1000];
    let n_places = |stop| mixture.n_places(&n_samples, stop).unwrap();
    let (shortest, longest) = (n_places(Stop::Shortest), n_places(Stop::Longest));
    assert_eq!(mixture.taken(shortest)[0], 1000);
    assert_eq!(mixture.taken(shortest - 1)[0], 999);
    assert_eq!(mixture.taken(longest)[1], 1000);
    assert_eq!(mixture.taken(longest - 1)[1], 999);
    assert_eq!(n_places(Stop::Places(5)), 5);
    assert_eq!(mixture.n_places(&n_samples, Stop::Places(0)).unwrap_err().to_string(), "`stop` is 0 samples");
    let empty = mixture.n_places(&[1, 0], Stop::Longest).unwrap_err();
    assert_eq!(empty.to_string(), "source 1 of the mixture has no samples");
    let endless = mixture.n_places(&[1, 1 << 62], Stop::Longest).unwrap_err();
    assert_eq!(endless.kind(), ErrorKind::Limit);
    assert!(mixture.n_places(&[1, 1 << 62], Stop::Shortest).is_ok());
}

#[test]
fn a_rule_is_a_name_or_a_number() {
    for (stop, text) in
        [(Stop::Longest, "\"longest\""), (Stop::Shortest, "\"shortest\""), (Stop::Places(9), "9")]
    {
        assert_eq!(serde_json::to_string(&stop).unwrap(), text);
        assert_eq!(serde_json::from_str::<Stop>(text).unwrap(), stop);
    }
    assert!(serde_json::from_str::<Stop>("\"soonest\"").is_err());
}

proptest! {
    #[test]
    fn every_period_holds_the_exact_shares(
        weights in prop::collection::vec(1_u64..1000, 1..20),
        seed: u64,
        number in 0_u64..1 << 50,
    ) {
        // A weight of one in 19,000 may get no place.
        let Ok(mixture) = Mixture::new(&weights, seed) else { return Ok(()) };
        let period = mixture.period(number);
        let mut counts = vec![0; weights.len()];
        for place in 0..PERIOD {
            let place = number * PERIOD + place;
            let (source, nth) = mixture.draw(&period, place).unwrap();
            prop_assert_eq!(mixture.source(place), source);
            prop_assert_eq!(nth, number * mixture.shares()[source] + counts[source]);
            counts[source] += 1;
        }
        prop_assert_eq!(&counts, mixture.shares());
        prop_assert_eq!(mixture.draw(&period, (number + 1) * PERIOD), None);
        let total: u64 = weights.iter().sum();
        for (share, weight) in mixture.shares().iter().zip(&weights) {
            let exact = *weight as f64 * PERIOD as f64 / total as f64;
            prop_assert!((*share as f64 - exact).abs() < 1.0);
        }
    }

    #[test]
    fn what_was_taken_is_counted(seed: u64, place in 0_u64..5000) {
        let mixture = Mixture::new(&[5, 2, 1], seed).unwrap();
        let mut taken = vec![0; 3];
        for place in 0..place {
            taken[mixture.source(place)] += 1;
        }
        prop_assert_eq!(mixture.taken(place), taken);
    }
}

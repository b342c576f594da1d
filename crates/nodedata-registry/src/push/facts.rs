use nodedata_core::{Error, ErrorKind, Result};

use crate::{
    gate::check_declaration,
    record::{Price, Sensitivity, Visibility},
};

/// `199`, `199.50` or `199.50 EUR`; US dollars when no currency is said.
///
/// # Errors
/// `Config`.
pub fn parse_price(text: &str) -> Result<Price> {
    let (amount, currency) = text.trim().split_once(' ').unwrap_or((text.trim(), "USD"));
    let (whole, cents) = amount.split_once('.').unwrap_or((amount, ""));
    let is_digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    let is_amount =
        !whole.is_empty() && whole.len() <= 12 && is_digits(whole) && is_digits(cents) && cents.len() <= 2;
    let is_currency = currency.len() == 3 && currency.bytes().all(|it| it.is_ascii_uppercase());
    if !is_amount || !is_currency {
        return Err(Error::new(ErrorKind::Config, format!("`{text}` is no price"))
            .with_hint("write an amount and, unless it is USD, a currency: `199`, `\"199.50 EUR\"`"));
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(Price { amount: format!("{whole}.{cents:0<2}"), currency: currency.to_owned() })
}

/// What everybody may see needs a licence beside what [`check_declaration`] asks for.
///
/// # Errors
/// `Denied`, and those of [`check_declaration`].
pub(crate) fn check_public(
    visibility: Visibility,
    sensitivity: &Sensitivity,
    license: Option<&str>,
) -> Result<()> {
    check_declaration(visibility, sensitivity)?;
    match (visibility, license) {
        (Visibility::Public, None) => Err(Error::new(ErrorKind::Denied, "a public dataset needs a licence")
            .with_hint("say which with `--license CC-BY-4.0`")),
        (Visibility::Public | Visibility::Private, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::DataClass;

    #[test]
    fn prices_are_exact() {
        let price = |text: &str| parse_price(text).map(|it| format!("{} {}", it.amount, it.currency));
        assert_eq!(price("199").unwrap(), "199.00 USD");
        assert_eq!(price("0099.5 EUR").unwrap(), "99.50 EUR");
        assert_eq!(price("0").unwrap(), "0.00 USD");
        for bad in ["", "-1", "1.234", "1,5", "1 usd", "1e3", "1 EURO", "NaN"] {
            assert_eq!(price(bad).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn what_is_public_is_declared() {
        let of = |class, gate| Sensitivity { class, gate, ..Sensitivity::default() };
        check_public(Visibility::Private, &of(DataClass::Undeclared, None), None).unwrap();
        check_public(Visibility::Public, &of(DataClass::None, None), Some("MIT")).unwrap();
        for (class, license) in [
            (DataClass::Undeclared, Some("MIT")),
            (DataClass::Biometric, Some("MIT")),
            (DataClass::None, None),
        ] {
            let err = check_public(Visibility::Public, &of(class, None), license).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Denied);
        }
    }
}

use nodedata_core::{Error, ErrorKind, Result, misspelt_modality};
use nodedata_dataset::check_license;

use crate::{
    attach::DOCUMENT_BYTES_MAX,
    blob_reader::read_ref,
    gate::check_declaration,
    push::PushOptions,
    record::{Facts, Price, Sensitivity, Visibility},
    remote::Remote,
    revision::Revision,
    state::DatasetState,
};

/// What is known of a dataset when it is published, whoever has said it.
pub(crate) struct Said {
    /// What the push says, and else the last revision or, before there is one, whoever created the dataset.
    pub(crate) facts: Facts,
    /// The card that the dataset was created with, where the push may need one.
    pub(crate) card: Option<String>,
}

impl Said {
    /// What is known when `options` are pushed after `head`.
    ///
    /// # Errors
    /// `Corrupt` when the card of the dataset is not what was sent; `Io`, `Denied`.
    pub(crate) fn of(
        remote: &dyn Remote,
        options: &PushOptions,
        state: Option<&DatasetState>,
        head: Option<&Revision>,
    ) -> Result<Self> {
        let before = match (head, state) {
            (Some(head), _) => Facts::of(head.manifest()),
            (None, Some(state)) => state.facts.clone(),
            (None, None) => Facts::default(),
        };
        let needs_card = !options.paths.is_empty() && options.readme.is_none();
        let card = state.and_then(|it| it.readme.as_ref()).filter(|_| needs_card);
        let card = card.map(|it| read_ref(remote, &options.dataset, it, DOCUMENT_BYTES_MAX)).transpose()?;
        let card = card.map(|it| String::from_utf8_lossy(&it).into_owned());
        Ok(Self { facts: options.facts.clone().or(&before), card })
    }
}

/// Facts as they are written down: the licence as SPDX spells it.
///
/// # Errors
/// `Config` for a licence that is none, and for a modality that is misspelt.
pub(crate) fn checked(facts: &Facts) -> Result<Facts> {
    for word in facts.modality.iter().flatten() {
        if let Some(meant) = misspelt_modality(word) {
            return Err(Error::new(ErrorKind::Config, format!("`{word}` is no modality"))
                .with_hint(format!("did you mean `{meant}`?")));
        }
    }
    let license = facts.license.as_deref().map(check_license).transpose()?;
    Ok(Facts { license, ..facts.clone() })
}

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

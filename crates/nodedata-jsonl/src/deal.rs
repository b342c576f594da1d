use nodedata_core::RowDeal;
use nodedata_message::value_at;
use nodedata_steps::own_name_of_sample;

/// Position of the split that a record is dealt to: by its bytes, or the value of a field. One without the field, or
/// that is no JSON, is dealt by its bytes.
pub(crate) fn split_of(deal: &RowDeal, record: &[u8]) -> usize {
    deal.split_of_record(record, |name| value_at(record, own_name_of_sample(name)))
}

use bytes::Bytes;
use nodedata_core::ErrorKind;
use nodedata_registry::{
    B3, DatasetName, Negotiated, NewDataset, PushRequest, Remote, blob_of, create, record::BlobRef, tree,
};

fn bytes_of(n_bytes: u64, seed: u64) -> Bytes {
    let byte = |it: u64| ((it ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    (0..n_bytes).map(byte).collect()
}

fn part(bytes: &Bytes, idx: u32) -> Bytes {
    let range = tree::part_range(bytes.len() as u64, idx);
    bytes.slice(range.start as usize..range.end as usize)
}

fn negotiate(remote: &dyn Remote, dataset: &DatasetName, push: &str, blobs: &[BlobRef]) -> Negotiated {
    let request = PushRequest { push: push.to_owned(), dataset: dataset.clone(), blobs: blobs.to_vec() };
    remote.negotiate(&request).expect("a push may be announced")
}

fn begin(remote: &dyn Remote, dataset: &DatasetName) {
    let begun = create(remote, &NewDataset::new(dataset.clone(), "kit")).expect("a new dataset");
    assert!(begun.is_new);
}

/// Parts come in any order and more than once; what has come is told; a blob is sealed once it is whole.
pub(super) fn any_order_any_number_of_times(remote: &dyn Remote, dataset: &DatasetName) {
    begin(remote, dataset);
    let big = bytes_of(2 * tree::PART_BYTES_MIN + tree::GRAIN_BYTES + 5, 1);
    let (small, empty) = (bytes_of(tree::GRAIN_BYTES + 1, 2), Bytes::new());
    let blobs = [blob_of(&big), blob_of(&small), blob_of(&empty)];
    let need = negotiate(remote, dataset, "kit-parts", &blobs).need;
    assert!(
        need.iter().any(|it| it.blob == blobs[0] && it.have.is_empty()),
        "a new blob is needed: {need:?}"
    );
    remote.upload_part(&blobs[0], 2, part(&big, 2)).expect("the last part first");
    remote.upload_part(&blobs[0], 0, part(&big, 0)).expect("the first part");
    remote.upload_part(&blobs[0], 0, part(&big, 0)).expect("a part again");
    let short = part(&big, 1).slice(1..);
    let err = remote.upload_part(&blobs[0], 1, short).expect_err("a part has its length");
    assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
    let err = remote.upload_part(&blobs[0], 3, Bytes::from_static(b"x")).expect_err("there is no such part");
    assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
    let err = remote.seal(&blobs[0]).expect_err("a part is missing");
    assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
    let need = negotiate(remote, dataset, "kit-parts", &blobs).need;
    let left = need.iter().find(|it| it.blob == blobs[0]).expect("it is not whole");
    assert_eq!(left.have, [0, 2], "what has come is told");
    remote.upload_part(&blobs[0], 1, part(&big, 1)).expect("the part in between");
    remote.seal(&blobs[0]).expect("it is whole");
    remote.seal(&blobs[0]).expect("twice is once");
    for (blob, bytes) in [(&blobs[1], &small), (&blobs[2], &empty)] {
        remote.upload_part(blob, 0, bytes.clone()).expect("a blob of one part");
        remote.seal(blob).expect("it is whole");
    }
    assert_eq!(negotiate(remote, dataset, "kit-parts", &blobs).need, [], "nothing is needed");
    remote.end_push("kit-parts").expect("the lease goes");
    remote.end_push("kit-parts").expect("twice is once");
}

/// Bytes under the address of others never become a blob.
pub(super) fn other_bytes_are_refused(remote: &dyn Remote, dataset: &DatasetName) {
    begin(remote, dataset);
    for (idx, n_bytes) in [100, tree::PART_BYTES_MIN + 7].into_iter().enumerate() {
        let bytes = bytes_of(n_bytes, 77);
        let blob = BlobRef { b3: B3::of(format!("another {idx}").as_bytes()), ..blob_of(&bytes) };
        negotiate(remote, dataset, "kit-lies", std::slice::from_ref(&blob));
        let sent =
            (0..tree::n_parts(n_bytes)).try_for_each(|it| remote.upload_part(&blob, it, part(&bytes, it)));
        let err = sent.and_then(|()| remote.seal(&blob)).expect_err("it is another blob");
        assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
        let need = negotiate(remote, dataset, "kit-lies", std::slice::from_ref(&blob)).need;
        assert_eq!(need.len(), 1, "it is not there");
    }
    remote.end_push("kit-lies").expect("the lease goes");
}

/// Small blobs come together and are all there then, without a word more; where one is another blob, that one is not.
pub(super) fn small_blobs_come_together(remote: &dyn Remote, dataset: &DatasetName) {
    begin(remote, dataset);
    let all: Vec<Bytes> = (0..40).map(|it| bytes_of(it * 7919, 100 + it)).collect();
    let mut sent: Vec<(BlobRef, Bytes)> = all.iter().map(|it| (blob_of(it), it.clone())).collect();
    let blobs: Vec<BlobRef> = sent.iter().map(|(blob, _)| blob.clone()).collect();
    negotiate(remote, dataset, "kit-together", &blobs);
    sent[20].1 = bytes_of(blobs[20].bytes, 99);
    let err = remote.upload_blobs(&sent).expect_err("one is another blob");
    assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
    let need = negotiate(remote, dataset, "kit-together", &blobs).need;
    assert!(need.iter().any(|it| it.blob == blobs[20]), "it is not there");
    sent[20].1 = all[20].clone();
    remote.upload_blobs(&sent[..1]).expect("one alone");
    remote.upload_blobs(&sent).expect("all together");
    remote.upload_blobs(&sent[30..]).expect("twice is once");
    remote.upload_blobs(&[]).expect("nothing is fine");
    assert_eq!(negotiate(remote, dataset, "kit-together", &blobs).need, [], "nothing is needed");
    for (blob, bytes) in &sent[1..] {
        let stored = remote.read_blob(dataset, &blob.b3, 0..blob.bytes);
        // A server shows no blobs before they belong to a revision.
        assert!(stored.is_err() || stored.is_ok_and(|it| it == bytes), "{}", blob.b3);
    }
    remote.end_push("kit-together").expect("the lease goes");
}

//! Media that rows refer to, in the place of their names.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch, StructArray, cast::AsArray as _};
use nodedata_core::{
    Error, ErrorKind, Files, Format as _, OpenOptions, ReadOptions, Reference, Result, Source, Storage,
};
use nodedata_io::{LocalFiles, MemoryFiles};
use nodedata_jsonl::JSONL;
use nodedata_testkit::{
    beside::{Beside, embedding as options, pictures, png, with},
    corpus,
    reading::read,
};

/// Rows in `set/rows.jsonl`, and pictures below `set` that are not claimed by anybody.
fn files(text: &str) -> Arc<dyn Files> {
    Arc::new(Beside(pictures().with("set/rows.jsonl", text.to_owned()), "jsonl"))
}

fn open(text: &str, options: &OpenOptions) -> Result<Box<dyn Source>> {
    JSONL.open(files(text), options)
}

fn refused(text: &str, options: &OpenOptions) -> Error {
    open(text, options).err().unwrap_or_else(|| panic!("{text} was not refused"))
}

/// Bytes and path of media, below lists.
fn media(column: &ArrayRef) -> Vec<(Option<Vec<u8>>, Option<String>)> {
    let all: StructArray = match column.as_list_opt::<i32>() {
        Some(list) => return media(list.values()),
        None => column.as_struct().clone(),
    };
    let (bytes, path) = (all.column(0).as_binary::<i32>(), all.column(1).as_string::<i32>());
    let one = |row: usize| {
        let is_there = all.is_valid(row);
        let bytes = (is_there && bytes.is_valid(row)).then(|| bytes.value(row).to_vec());
        (bytes, (is_there && path.is_valid(row)).then(|| path.value(row).to_owned()))
    };
    (0..all.len()).map(one).collect()
}

fn of(rows: &[RecordBatch], name: &str) -> Vec<(Option<Vec<u8>>, Option<String>)> {
    rows.iter().flat_map(|it| media(it.column_by_name(name).unwrap())).collect()
}

fn named(width: u8, path: &str) -> (Option<Vec<u8>>, Option<String>) {
    (Some(png(width)), Some(path.to_owned()))
}

#[test]
fn files_take_the_place_of_their_names() {
    let text = concat!(
        r#"{"image": "a.png", "images": ["deep/b.png", "../c.png"], "n": 1}"#,
        "\n",
        r#"{"n": 2, "images": [], "image": "./deep/../a.png"}"#,
        "\n",
        r#"{"image": null, "images": ["a.png"], "n": 3}"#,
    );
    let options = options(&["image", "images"]);
    let source = open(text, &options).unwrap();
    let plan = source.plan();
    let feature = |name: &str| plan.streams[0].features.iter().find(|it| it.name == name).unwrap();
    assert_eq!((feature("image").storage, feature("image").nullable), (Storage::EncodedMedia, true));
    assert_eq!((feature("images").storage, feature("images").lists.len()), (Storage::EncodedMedia, 1));
    let inputs: Vec<_> = plan.inputs.iter().map(|it| (it.path.display().to_string(), it.n_bytes)).collect();
    let n_png = png(1).len() as u64;
    let expected = [
        ("set/rows.jsonl", text.len() as u64),
        ("set/a.png", n_png),
        ("c.png", n_png),
        ("set/deep/b.png", n_png),
    ];
    let mut sorted = inputs;
    sorted[1..].sort_by_key(|it| it.0.clone());
    let mut expected: Vec<_> = expected.map(|(path, n)| (path.to_owned(), n)).to_vec();
    expected[1..].sort_by_key(|it| it.0.clone());
    assert_eq!(sorted, expected);
    // All of each file decides the rows.
    let reads = &plan.partitions[0].reads;
    assert_eq!(reads.len(), 4);
    assert!(reads[1..].iter().all(|it| it.byte_range == (0..u64::MAX)), "{reads:?}");
    assert!(3 * n_png < plan.partitions[0].decoded_bytes);

    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(of(&rows, "image"), [named(1, "a.png"), named(1, "./deep/../a.png"), (None, None)]);
    assert_eq!(of(&rows, "images"), [named(2, "deep/b.png"), named(3, "../c.png"), named(1, "a.png")]);
    let lengths =
        rows[0].column_by_name("images").unwrap().as_list::<i32>().offsets().lengths().collect::<Vec<_>>();
    assert_eq!(lengths, [2, 0, 1]);
    let shapes = source.read(0, &ReadOptions::default()).unwrap().next_batch().unwrap().unwrap().pixels;
    assert!(shapes.iter().all(|it| it.encoding == "png") && 2 <= shapes.len(), "{shapes:?}");

    let learned = OpenOptions { learned: plan.learned.clone(), ..options };
    let again = open(text, &learned).unwrap();
    assert!(again.plan() == plan);
    assert_eq!(read(again.as_ref()).0, rows);
}

#[test]
fn chats_have_their_pictures_where_they_name_them() {
    let text = r#"{"messages": [{"content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "x"}]}, {"content": [{"type": "image", "image": "data:image/png;base64,iVBORw=="}]}]}"#;
    let source = open(text, &options(&["messages.content.image"])).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    let expected = [named(1, "a.png"), (None, None), (Some(b"\x89PNG".to_vec()), None)];
    assert_eq!(of(&rows, "messages.content.image"), expected);
    assert_eq!(source.plan().inputs.len(), 2);
}

/// Where content is sometimes text and sometimes a list of parts, it stays the text that it is, and the media that the parts name are
/// a list beside it, in their order.
#[test]
fn chats_of_text_and_parts_have_their_pictures_beside_the_text() {
    let rows = [
        r#"{"messages": [{"role": "user", "content": "hello"}]}"#,
        concat!(
            r#"{"messages": [{"role": "user", "content": [{"type": "image", "image": "a.png"}, "#,
            r#"{"type": "text", "text": "and"}, {"type": "image", "image": "deep/b.png"}]}, "#,
            r#"{"role": "assistant", "content": "two"}, "#,
            r#"{"role": "user", "content": [{"image": "data:image/png;base64,iVBORw=="}]}]}"#
        ),
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "none"}]}]}"#,
    ];
    let text = rows.join("\n");
    let options = options(&["messages.content.image"]);
    let source = open(&text, &options).unwrap();
    let plan = source.plan();
    let names: Vec<&str> = plan.streams[0].features.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["step_index", "messages.role", "messages.content", "messages.content.image"]);
    let feature = &plan.streams[0].features[3];
    assert_eq!((feature.storage, feature.lists.len()), (Storage::EncodedMedia, 1));
    let inputs: Vec<_> = plan.inputs.iter().map(|it| it.path.display().to_string()).collect();
    assert_eq!(inputs, ["set/rows.jsonl", "set/a.png", "set/deep/b.png"]);

    let (found, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    let expected = [named(1, "a.png"), named(2, "deep/b.png"), (Some(b"\x89PNG".to_vec()), None)];
    assert_eq!(of(&found, "messages.content.image"), expected);
    let pictures = found[0].column_by_name("messages.content.image").unwrap().as_list::<i32>();
    assert_eq!(pictures.offsets().lengths().collect::<Vec<_>>(), [0, 3, 0]);
    // The text is as it is where nothing is embedded.
    let (plain, _) = read(open(&text, &OpenOptions::default()).unwrap().as_ref());
    for name in ["messages.role", "messages.content"] {
        assert_eq!(found[0].column_by_name(name), plain[0].column_by_name(name), "{name}");
    }
    let learned = OpenOptions { learned: plan.learned.clone(), ..options.clone() };
    let again = open(&text, &learned).unwrap();
    assert!(again.plan() == plan);
    assert_eq!(read(again.as_ref()).0, found);
    // A row whose picture is not there is lost whole, or has null among its pictures.
    let missing = text.replace("deep/b.png", "no.png");
    let (found, damage) = read(open(&missing, &options).unwrap().as_ref());
    assert_eq!((found.iter().map(RecordBatch::num_rows).sum::<usize>(), damage.len()), (2, 1));
    assert!(of(&found, "messages.content.image").is_empty());
    let nulls = with(options, "missing", "null");
    let (found, damage) = read(open(&missing, &nulls).unwrap().as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    let expected = [named(1, "a.png"), (None, None), (Some(b"\x89PNG".to_vec()), None)];
    assert_eq!(of(&found, "messages.content.image"), expected);
}

/// What no part has is a mistake there as well.
#[test]
fn fields_that_no_part_has_are_mistakes() {
    let text = "{\"m\": [{\"c\": \"x\"}]}\n{\"m\": [{\"c\": [{\"image\": \"a.png\", \"n\": 1}]}]}\n";
    for field in ["m.c.imag", "m.c.n", "m.c.image.url"] {
        let err = refused(text, &options(&[field]));
        assert_eq!(err.kind(), ErrorKind::Config, "{field}");
        assert!(err.to_string().contains(&format!("no row has the field `{field}`")), "{err}");
    }
    // All of what is of several kinds stays text.
    assert!(refused(text, &options(&["m.c"])).to_string().contains("is JSON text"));
    // What looks like references there is told, and how its media come beside it.
    let source = open(text, &OpenOptions::default()).unwrap();
    let told: Vec<_> = source.plan().findings.iter().filter(|it| it.reason == "references").collect();
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(told.at.feature.as_deref(), Some("m.c.image"));
    assert_eq!(told.at.line_column, Some((2, 1)));
    assert!(told.hint.as_deref().unwrap().ends_with("puts the media beside it"), "{told:?}");
    let source = open(text, &options(&["m.c.image"])).unwrap();
    assert!(source.plan().findings.iter().all(|it| it.reason != "references"));
    // Records of any size are not taken apart for a hint.
    let much = "x".repeat(1 << 20);
    let long = format!("{{\"m\": [{{\"c\": [{{\"image\": \"a.png\", \"n\": \"{much}\"}}]}}]}}\n");
    let source = open(&format!("{long}{text}"), &OpenOptions::default()).unwrap();
    let told: Vec<_> = source.plan().findings.iter().filter(|it| it.reason == "references").collect();
    assert_eq!(told.iter().map(|it| it.at.line_column).collect::<Vec<_>>(), [Some((3, 1))]);
}

/// A value that is kept as its own text names no file.
#[test]
fn values_of_their_own_text_name_nothing() {
    let text = "{\"c\": \"x\"}\n{\"c\": [{\"image\": 1e400}, {\"image\": \"a.png\"}]}\n";
    let source = open(text, &with(options(&["c.image"]), "mixed", "text")).unwrap();
    let (found, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(of(&found, "c.image"), [named(1, "a.png")]);
    assert!(!source.plan().learned.as_deref().unwrap().contains("raw:"));
}

#[test]
fn base64_is_bytes() {
    let embed = [("raw".to_owned(), Reference::Base64)].into_iter().collect();
    let options = OpenOptions { embed, ..OpenOptions::default() };
    let (rows, damage) =
        read(open("{\"raw\": \"iVBORw==\"}\n{\"raw\": \"?\"}\n", &options).unwrap().as_ref());
    assert_eq!(of(&rows, "raw"), [(Some(b"\x89PNG".to_vec()), None)]);
    assert!(damage.len() == 1 && damage[0].to_string().contains("base64"), "{damage:?}");
}

#[test]
fn what_is_not_there_costs_the_row_or_is_null() {
    let text = "{\"image\": \"a.png\", \"n\": 1}\n{\"image\": \"no.png\", \"n\": 2}\n";
    let (rows, damage) = read(open(text, &options(&["image"])).unwrap().as_ref());
    assert_eq!(of(&rows, "image"), [named(1, "a.png")]);
    let [damage] = damage.as_slice() else { panic!("{damage:?}") };
    assert_eq!(damage.locus().line_column, Some((2, 12)), "{damage}");
    assert!(damage.to_string().contains("`image`: `no.png` is not there"), "{damage}");
    assert!(damage.hint().unwrap().contains("source.missing=null"), "{:?}", damage.hint());
    assert_eq!(damage.loss().unwrap().records[0].1, 1);

    let options = with(options(&["image"]), "missing", "null");
    let source = open(text, &options).unwrap();
    let mut stream = source.read(0, &ReadOptions::default()).unwrap();
    let batch = stream.next_batch().unwrap().unwrap();
    assert!(stream.next_batch().unwrap().is_none());
    assert_eq!(of(&[batch.rows], "image"), [named(1, "a.png"), (None, None)]);
    let [warning] = stream.warnings() else { panic!("{:?}", stream.warnings()) };
    assert!(warning.message.contains("`no.png`") && warning.reason == "missing_media", "{warning:?}");

    // Once the file is there the rows are others, and so is what they are known by.
    let recipe = source.plan().partitions[0].recipe.clone();
    assert!(recipe.contains("set/no.png"), "{recipe}");
    let more = MemoryFiles::default()
        .with("set/rows.jsonl", text)
        .with("set/a.png", png(1))
        .with("set/no.png", png(9));
    let learned = OpenOptions { learned: source.plan().learned.clone(), ..options };
    let later = JSONL.open(Arc::new(Beside(more, "jsonl")), &learned).unwrap();
    assert_ne!(later.plan().partitions[0].recipe, recipe);
    assert_eq!(later.plan().partitions[0].reads.len(), 3);
    let there = of(&read(later.as_ref()).0, "image");
    assert_eq!(there, [named(1, "a.png"), named(9, "no.png")]);
}

#[test]
fn what_may_not_be_read_costs_its_row() {
    for (reference, told) in [
        ("../../c.png", "leads out of the folder"),
        ("/etc/passwd", "is an absolute path"),
        ("https://host/a.png", "is an address"),
        ("", "is empty"),
    ] {
        let text = format!("{{\"image\": \"a.png\"}}\n{{\"image\": \"{reference}\"}}\n");
        let (rows, damage) = read(open(&text, &options(&["image"])).unwrap().as_ref());
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1, "{reference}");
        let [damage] = damage.as_slice() else { panic!("{reference}: {damage:?}") };
        assert!(damage.to_string().contains(told), "{reference}: {damage}");
        assert_eq!(damage.locus().line_column.unwrap().0, 2, "{reference}");
    }
    let small = with(options(&["image"]), "embed_bytes_max", "10");
    let (_, damage) = read(open("{\"image\": \"a.png\"}\n", &small).unwrap().as_ref());
    assert_eq!((damage.len(), damage[0].kind()), (1, ErrorKind::Limit));
}

/// All media of one row are held at once.
#[test]
fn the_media_of_a_row_are_bounded_together() {
    let names = ["\"a.png\""; 9].join(", ");
    let text = format!("{{\"images\": [{names}]}}\n{{\"images\": [\"a.png\"]}}\n");
    let all = MemoryFiles::default().with("set/rows.jsonl", text).with("set/a.png", vec![0; 30 << 20]);
    let source = JSONL.open(Arc::new(Beside(all, "jsonl")), &options(&["images"])).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    let [damage] = damage.as_slice() else { panic!("{damage:?}") };
    assert!(damage.kind() == ErrorKind::Limit && damage.to_string().contains("together"), "{damage}");
}

/// A link that leads out of the folder is not followed, one that stays within is.
#[cfg(unix)]
#[test]
fn links_lead_nowhere_else() {
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("set"), dir.path().join("secret"));
    std::fs::create_dir_all(inside.join("real")).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("s.png"), png(7)).unwrap();
    std::fs::write(inside.join("real/r.png"), png(1)).unwrap();
    symlink(outside.join("s.png"), inside.join("file.png")).unwrap();
    symlink(&outside, inside.join("folder")).unwrap();
    symlink("real", inside.join("within")).unwrap();
    let names = ["real/r.png", "within/r.png", "file.png", "folder/s.png", "folder/../secret/s.png"];
    let text: String = names.iter().map(|it| format!("{{\"image\": \"{it}\"}}\n")).collect();
    std::fs::write(inside.join("rows.jsonl"), text).unwrap();
    let files = LocalFiles::file(&inside.join("rows.jsonl"));
    let source = JSONL.open(Arc::new(files), &options(&["image"])).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert_eq!(of(&rows, "image"), [named(1, "real/r.png"), named(1, "within/r.png")]);
    assert_eq!(damage.len(), 3, "{damage:?}");
    assert!(damage[..2].iter().all(|it| it.to_string().contains("leads out")), "{damage:?}");
    let inputs: Vec<_> = source.plan().inputs.iter().map(|it| it.path.display().to_string()).collect();
    assert_eq!(inputs, ["rows.jsonl", "real/r.png", "within/r.png"]);
    // Once a file lies there itself, the rows are others.
    let recipe = source.plan().partitions[0].recipe.clone();
    assert!(recipe.contains("file.png"), "{recipe}");
    std::fs::remove_file(inside.join("file.png")).unwrap();
    std::fs::write(inside.join("file.png"), png(5)).unwrap();
    let learned = OpenOptions { learned: source.plan().learned.clone(), ..options(&["image"]) };
    let files = LocalFiles::file(&inside.join("rows.jsonl"));
    let later = JSONL.open(Arc::new(files), &learned).unwrap();
    assert_ne!(later.plan().partitions[0].recipe, recipe);
    assert_eq!(of(&read(later.as_ref()).0, "image")[2], named(5, "file.png"));
}

/// A pipe, a folder: neither is waited for, and neither is a picture.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe.png")).status().unwrap();
    assert!(made.success());
    std::fs::create_dir(dir.path().join("folder.png")).unwrap();
    std::fs::write(dir.path().join("a.png"), png(1)).unwrap();
    let names = ["a.png", "pipe.png", "folder.png"];
    let text: String = names.iter().map(|it| format!("{{\"image\": \"{it}\"}}\n")).collect();
    std::fs::write(dir.path().join("rows.jsonl"), text).unwrap();
    let open = |options: OpenOptions| {
        let files = LocalFiles::file(&dir.path().join("rows.jsonl"));
        JSONL.open(Arc::new(files), &options).unwrap()
    };
    let (rows, damage) = read(open(options(&["image"])).as_ref());
    assert_eq!(of(&rows, "image"), [named(1, "a.png")]);
    let told: Vec<String> = damage.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("`pipe.png`") && told[0].contains("it is no regular file"), "{told:?}");
    assert!(told[1].contains("`folder.png`") && told[1].contains("it is a folder"), "{told:?}");
    let (rows, damage) = read(open(with(options(&["image"]), "missing", "null")).as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(of(&rows, "image"), [named(1, "a.png"), (None, None), (None, None)]);
}

/// Paths of inputs are noted as text.
#[cfg(unix)]
#[test]
fn folders_whose_names_are_no_text_are_told() {
    use std::os::unix::ffi::OsStrExt as _;

    let folder = std::path::Path::new(std::ffi::OsStr::from_bytes(b"set\xff"));
    let rows = folder.join("rows.jsonl");
    let all = MemoryFiles::default()
        .with(&rows, "{\"image\": \"a.png\"}\n".to_owned())
        .with(folder.join("a.png"), png(1));
    let err = JSONL.open(Arc::new(Beside(all.clone(), "jsonl")), &options(&["image"])).err().unwrap();
    assert_eq!((err.kind(), err.locus().path.as_deref()), (ErrorKind::Unsupported, Some(folder)));
    assert!(err.to_string().contains("not UTF-8") && err.hint().is_some(), "{err}");
    // Where nothing is embedded the rows are read as ever.
    assert!(JSONL.open(Arc::new(Beside(all, "jsonl")), &OpenOptions::default()).is_ok());
}

#[test]
fn only_fields_of_text_can_be_embedded() {
    let text = r#"{"image": "a.png", "n": 1, "o": {"x": "a.png"}, "m": ["a", 1]}"#;
    for (field, told, hint) in [
        ("imag", "no row has the field `imag`", "did you mean `image`?"),
        ("n", "`n` in `embed` is a number", "one of: image, o.x"),
        ("o", "`o` in `embed` is an object", "one of: image, o.x"),
        ("m", "`m` in `embed` is JSON text", "one of: image, o.x"),
    ] {
        let err = refused(text, &options(&[field]));
        assert_eq!(err.kind(), ErrorKind::Config);
        assert!(err.to_string().contains(told), "{err}");
        assert_eq!(err.hint(), Some(hint), "{field}");
    }
    // What is not selected is not read.
    let topics = Some(vec!["n".to_owned()]);
    let source = open(text, &OpenOptions { topics, ..options(&["image"]) }).unwrap();
    assert_eq!(source.plan().inputs.len(), 1);
}

#[test]
fn what_looks_like_references_is_told() {
    let text =
        r#"{"image": "a.png", "text": "a cube.", "m": [{"c": ["x/y.WAV"]}], "url": "https://h/a.png"}"#;
    let told = |options: &OpenOptions| {
        let source = open(text, options).unwrap();
        let findings = source.plan().findings.clone();
        findings
            .into_iter()
            .filter(|it| it.reason == "references")
            .filter_map(|it| it.at.feature)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&OpenOptions::default()), ["image", "m.c"]);
    assert_eq!(told(&options(&["image"])), ["m.c"]);
    let source = open(text, &OpenOptions::default()).unwrap();
    let hint = source.plan().findings[0].hint.clone().unwrap();
    assert!(hint.contains("--embed image=path") && hint.contains("source.embed"), "{hint}");
}

/// Partitions are as large as what comes with their rows.
#[test]
fn partitions_end_where_media_fill_them() {
    let text: String = (0..100).map(|it| format!("{{\"image\": \"a.png\", \"n\": {it}}}\n\n")).collect();
    let all = MemoryFiles::default().with("set/rows.jsonl", text).with("set/a.png", vec![0; 100_000]);
    let files = || Arc::new(Beside(all.clone(), "jsonl"));
    let options = OpenOptions { partition_bytes: 1 << 20, ..options(&["image"]) };
    let source = JSONL.open(files(), &options).unwrap();
    let plan = source.plan();
    assert_eq!(plan.partitions.len(), 10);
    assert!(plan.partitions.iter().all(|it| it.decoded_bytes < (2 << 20)));
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty());
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 100);
    let learned = OpenOptions { learned: plan.learned.clone(), ..options };
    assert!(JSONL.open(files(), &learned).unwrap().plan() == plan);
}

#[test]
fn corpus_files() {
    let Some(folder) = corpus::folder("episodes/jsonl") else { return };
    for (rows, field, n_media) in
        [("imagefolder/metadata.jsonl", "file_name", 3), ("chat.jsonl", "messages.content.image", 3)]
    {
        let files = LocalFiles::list_of(&folder, vec![rows.into()]);
        let source = JSONL.open(Arc::new(files), &options(&[field])).unwrap();
        let (found, damage) = read(source.as_ref());
        assert!(damage.is_empty(), "{damage:?}");
        let media = of(&found, field).into_iter().filter(|it| it.0.is_some()).collect::<Vec<_>>();
        assert_eq!(media.len(), n_media);
        for (bytes, path) in media {
            let beside = folder.join(rows).with_file_name(path.unwrap());
            assert_eq!(bytes.unwrap(), std::fs::read(beside).unwrap());
        }
    }
}

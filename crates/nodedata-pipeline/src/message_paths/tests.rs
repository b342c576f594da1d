use std::fs;

use tempfile::TempDir;

use super::*;

fn workspace(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn names(texts: &MessageTexts) -> Vec<String> {
    texts.texts().iter().map(|it| format!("{}{}", it.name, if it.is_idl { " (idl)" } else { "" })).collect()
}

#[test]
fn a_workspace_is_walked_and_packages_tell_their_names() {
    let folder = workspace(&[
        ("src/lab/msg/Near.msg", "int8 x"),
        ("src/lab/srv/Do.srv", "---"),
        ("src/lab/action/Go.action", "---\n---"),
        ("src/lab/README.md", "no definition"),
        ("src/renamed/package.xml", "<package><name> other </name></package>"),
        ("src/renamed/msg/Far.msg", "int8 y"),
        ("src/renamed/Loose.msg", "int8 z"),
        ("src/.git/lab/msg/Old.msg", "int8 old"),
        // What rosidl makes of a definition beside it.
        ("build/lab/rosidl_adapter/lab/msg/Near.idl", "module lab { };"),
        ("src/lab/msg/Only.idl", "module lab { module msg { struct Only { long x; }; }; };"),
    ]);
    let texts = read_message_paths(&[folder.path()]).unwrap();
    assert_eq!(
        names(&texts),
        [
            "lab/action/Go",
            "lab/msg/Near",
            "lab/msg/Only (idl)",
            "lab/srv/Do",
            "other/msg/Far",
            "other/msg/Loose"
        ]
    );
    let file = folder.path().join("src/lab/msg/Near.msg");
    assert_eq!(names(&read_message_paths(&[file.clone(), file]).unwrap()), ["lab/msg/Near"]);
    assert_eq!(read_message_paths::<&Path>(&[]).unwrap(), MessageTexts::default());
}

/// rosidl puts what it makes of a service or an action beside it.
#[test]
fn messages_of_services_and_actions_are_called_as_their_folder_says() {
    let folder = workspace(&[
        ("lab/action/Pick_FeedbackMessage.msg", "int8 x"),
        ("lab/action/Pick_Goal.msg", "int8 x"),
        ("lab/action/Pick_SendGoal.srv", "---"),
        ("lab/srv/Do_Request.msg", "int8 x"),
        // Not where it belongs, and still what its ending says.
        ("lab/msg/Do.srv", "---"),
        ("lab/srv/Go.action", "---\n---"),
        ("lab/action/Only.idl", "module lab { };"),
    ]);
    let expected = [
        "lab/action/Go",
        "lab/action/Only (idl)",
        "lab/action/Pick_FeedbackMessage",
        "lab/action/Pick_Goal",
        "lab/action/Pick_SendGoal",
        "lab/srv/Do",
        "lab/srv/Do_Request",
    ];
    assert_eq!(names(&read_message_paths(&[folder.path()]).unwrap()), expected);
}

#[track_caller]
fn refused(folder: &TempDir, names: &[&str]) -> (String, String) {
    let paths: Vec<PathBuf> = names.iter().map(|it| folder.path().join(it)).collect();
    let err = read_message_paths(&paths).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Config);
    (err.to_string(), err.hint().unwrap_or_default().to_owned())
}

#[test]
fn what_leads_to_no_definition_is_a_mistake() {
    let folder = workspace(&[
        ("lab/msg/Near.msg", "int8 x"),
        ("older/lab/msg/Near.msg", "int16 x"),
        ("empty/notes.txt", "nothing"),
        ("alone/Alone.msg", "int8 x"),
    ]);
    let (message, hint) = refused(&folder, &["lab/msg/Naer.msg"]);
    assert!(message.ends_with("is not there"), "{message}");
    assert_eq!(hint, "did you mean `Near.msg`?");
    let (_, hint) = refused(&folder, &["no/such/Near.msg"]);
    assert!(hint.ends_with("is not there either"), "{hint}");
    assert!(refused(&folder, &["empty"]).0.ends_with("holds no message definition"));
    assert!(refused(&folder, &["empty/notes.txt"]).0.contains("is no `.msg`"));
    assert!(refused(&folder, &["alone/Alone.msg"]).0.ends_with("does not tell its package"));
    let (message, _) = refused(&folder, &["lab", "older"]);
    assert!(message.contains("defines `lab/msg/Near` otherwise than"), "{message}");
}

#[test]
fn what_is_called_like_a_definition_in_a_workspace_is_passed_over() {
    let large = "#".repeat(TEXT_BYTES_MAX as usize + 1);
    let folder = workspace(&[
        ("src/lab/msg/Near.msg", "int8 x"),
        ("src/lab/msg/Large.msg", large.as_str()),
        ("src/vendor/idl/Loose.idl", "module vendor { };"),
    ]);
    let path = |name: &str| folder.path().join(name);
    fs::write(path("src/lab/msg/Latin.msg"), b"# \xe9\nint8 x").unwrap();
    let manifest = b"<package><name>lab_named</name><author>\xe9</author></package>";
    fs::write(path("src/lab/package.xml"), manifest).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", path("src/lab/msg/Gone.msg")).unwrap();
    assert_eq!(names(&read_message_paths(&[folder.path()]).unwrap()), ["lab_named/msg/Near"]);
    // Whoever names one means it.
    assert!(refused(&folder, &["src/vendor/idl/Loose.idl"]).0.ends_with("does not tell its package"));
    assert!(refused(&folder, &["src/lab/msg/Latin.msg"]).0.contains("not UTF-8"));
    assert_eq!(read_message_paths(&[path("src/lab/msg/Large.msg")]).unwrap_err().kind(), ErrorKind::Limit);
    assert!(refused(&folder, &["src/vendor"]).0.ends_with("holds no message definition"));
}

#[test]
fn what_was_made_of_a_definition_need_not_agree_where_that_is_there() {
    let folder = workspace(&[
        ("build/lab/rosidl_adapter/lab/msg/Near.idl", "module lab { };"),
        ("install/lab/share/lab/msg/Near.idl", "module lab { module msg { }; };"),
        ("src/lab/msg/Near.msg", "int8 x"),
    ]);
    assert_eq!(names(&read_message_paths(&[folder.path()]).unwrap()), ["lab/msg/Near"]);
    let paths = ["src", "install", "build"].map(|it| folder.path().join(it));
    assert_eq!(names(&read_message_paths(&paths).unwrap()), ["lab/msg/Near"]);
    let (message, _) = refused(&folder, &["build", "install"]);
    assert!(message.contains("defines `lab/msg/Near` otherwise than"), "{message}");
}

#[test]
fn a_package_is_asked_for_its_name_once() {
    let folder = workspace(&[
        ("lab/package.xml", "<package><name>other</name></package>"),
        ("lab/msg/Near.msg", "int8 x"),
        ("lab/srv/Do.srv", "---"),
    ]);
    let mut reader = Reader::default();
    assert!(reader.file(&folder.path().join("lab/msg/Near.msg")).unwrap());
    fs::remove_file(folder.path().join("lab/package.xml")).unwrap();
    assert!(reader.file(&folder.path().join("lab/srv/Do.srv")).unwrap());
    assert_eq!(reader.texts.keys().collect::<Vec<_>>(), ["other/msg/Near", "other/srv/Do"]);
}

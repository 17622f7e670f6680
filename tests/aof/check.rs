//! Our redis-check-aof beside Debian's: the same output, exit code and file.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::instance::PROGRAM;

fn run(program: &str, dir: &Path, args: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(program)
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // The name of the program, and a log line's time, differ.
    let text = text.replace(program, "redis-check-aof");
    let lines = text.lines().map(|line| match line.split_once(" # ") {
        Some((_, message)) if line.contains(":C ") || line.contains(":X ") => message,
        // Behind the end of a line it shows whatever lies in memory.
        _ => match line.find("got: 00") {
            Some(at) => &line[..at + "got: 00".len()],
            None => line,
        },
    });
    (output.status.code(), lines.collect::<Vec<_>>().join("\n"))
}

fn command(words: &[&str]) -> String {
    let args = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), args.collect::<String>())
}

/// Logs, sound and not.
fn logs() -> Vec<String> {
    let set = command(&["set", "foo", "bar"]);
    let multi = command(&["MULTI"]) + &set + &command(&["exec"]);
    let notes = "#TS:100\r\n".to_owned() + &set + "#TS:200\r\n" + &set + "#TS:300\r\n" + &multi;
    let whole = set.clone() + &multi + &set;
    let mut logs = vec![
        String::new(),
        whole.clone(),
        notes.clone(),
        "#TS:500\r\n".to_owned() + &set,
        "#TS:oops\r\n".to_owned() + &set,
        "#a note\r\n".to_owned() + &set,
        set.clone() + "!!!",
        set.clone() + &command(&["MULTI"]) + &set,
        set.clone() + &command(&["MULTI"]) + &set + &command(&["MULTI"]),
        set.clone() + &command(&["exec"]),
        set.clone() + "*1\r\n$-1\r\nx\r\n",
        set.clone() + "*1\r\n$99999999999\r\nx\r\n",
        set.clone() + "*1\r\n$5\r\nabcdeXY",
        set.clone() + "*1\r\n:5\r\nabcde\r\n",
        set.clone() + "*x\r\n",
        set.clone() + "*0\r\n" + &set,
        "*2\n$3\nGET\r\n$1\r\na\r\n".into(),
    ];
    logs.extend((0..whole.len()).map(|cut| whole[..cut].to_owned()));
    logs
}

#[test]
fn files_are_judged_as_by_the_original() {
    let original = "redis-check-aof";
    if Command::new(original).output().is_err() {
        println!("skipped: there is no {original} to compare with");
        return;
    }
    let tools = tempfile::tempdir().unwrap();
    let ours = tools.path().join("redis-check-aof");
    symlink(PROGRAM, &ours).unwrap();
    let ours = ours.to_str().unwrap();
    let check = |files: &[(&str, &str)], args: &[&str], input: &str| {
        let outcome = |program: &str| {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                std::fs::write(dir.path().join(name), text).unwrap();
            }
            let said = run(program, dir.path(), args, input);
            let after = files
                .iter()
                .map(|(name, _)| std::fs::read(dir.path().join(name)).unwrap());
            (said, after.collect::<Vec<_>>())
        };
        let (our, their) = (outcome(ours), outcome(original));
        assert_eq!(our, their, "{args:?} with {input:?} on {files:?}");
    };
    for args in [
        &[][..],
        &["--fix"],
        &["--mend", "a"],
        &["--truncate-to-timestamp", "x", "a"],
    ] {
        check(&[("a", "")], args, "");
    }
    check(&[], &["missing"], "");
    let manifest = "file base seq 1 type b\nfile one seq 1 type i\nfile two seq 2 type i\n";
    for (index, log) in logs().into_iter().enumerate() {
        check(&[("log", &log)], &["log"], "");
        check(&[("log", &log)], &["--fix", "log"], "y\n");
        check(&[("log", &log)], &["--fix", "log"], "n\n");
        check(
            &[("log", &log)],
            &["--truncate-to-timestamp", "200", "log"],
            "",
        );
        // Where a log is cut makes no difference to the files around it.
        if index > 20 && index % 16 != 0 {
            continue;
        }
        let set = command(&["set", "a", "b"]);
        for [base, one, two] in [[&log, &set, &set], [&set, &log, &set], [&set, &set, &log]] {
            let files = [
                ("manifest", manifest),
                ("base", base),
                ("one", one),
                ("two", two),
            ];
            check(&files, &["manifest"], "");
            check(&files, &["--fix", "manifest"], "y\n");
            check(&files, &["--truncate-to-timestamp", "200", "manifest"], "");
        }
    }
    for wrong in [
        "",
        "file a seq 1\n",
        "file a seq 1 type x\n",
        "file a seq 1 type b",
    ] {
        let text = "file base seq 1 type b\n".to_owned() + wrong;
        check(&[("manifest", &text), ("base", "")], &["manifest"], "");
    }
}

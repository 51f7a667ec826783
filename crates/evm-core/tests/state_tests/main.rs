//! Ethereum's state tests over our machine and our state: every case runs in the clear and with encrypted storage,
//! and both must end in the root and logs that Ethereum's own trie gives. So neither revm, nor how we set it up, nor
//! the encryption changes meaning. No case is left out.
//!
//! And a chain: 54 blocks through every fork from Homestead on, whose headers must all come out (see `chain`).
//!
//! The fixtures are not part of the repository: `QANAT_TEST_DATA` or `../shared/data` must hold
//! `evm/*.tar.xz` (GeneralStateTests of ethereum/tests, state_tests of EEST 5.4) and `execution-apis/tests.tar.xz`.
//! Without them the test says so and passes. Alone it runs a sample; `--all` runs every file, `--stride N` each Nth,
//! `--only TEXT` those whose path has it, and `--score FILE` writes the score as JSON.

mod case;
mod chain;
mod fixture;
mod score;
#[path = "../support/mod.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use evm_core::contract_keys::KeyRing;
use serde_json::Value;

use score::Score;
use support::TestKeys;

/// Of the files, each how many-th is in the sample.
const SAMPLE_STRIDE: usize = 40;
const ARCHIVES: [(&str, &str); 2] = [
    ("GeneralStateTests", "ethereum/tests @ 4c87ebbf, GeneralStateTests"),
    ("eest-v5.4.0-state", "execution-spec-tests 5.4.0, state_tests"),
];

struct Options {
    stride: usize,
    only: String,
    score: Option<PathBuf>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self { stride: SAMPLE_STRIDE, only: String::new(), score: None };
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
            match name.as_str() {
                "--all" => options.stride = 1,
                "--stride" => options.stride = value().parse().expect("a stride is a number"),
                "--only" => options.only = value(),
                "--score" => options.score = Some(value().into()),
                _ => {} // what cargo says to every test
            }
        }
        options
    }
}

/// One file of an archive.
struct File {
    suite: &'static str,
    path: PathBuf,
}

fn main() -> ExitCode {
    let options = Options::read(std::env::args().skip(1));
    let data = std::env::var_os("QANAT_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let archives = ARCHIVES.map(|(name, suite)| (data.join(format!("evm/{name}.tar.xz")), suite));
    let chain = data.join("execution-apis/tests.tar.xz");
    if archives.iter().any(|(archive, _)| !archive.exists()) || !chain.exists() {
        println!("skipped: no state tests in {} (set QANAT_TEST_DATA)", data.display());
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a folder for the fixtures");
    let mut files = Vec::new();
    for (number, (archive, suite)) in archives.iter().enumerate() {
        unpack(archive, &folder.path().join(number.to_string()));
        collect(&folder.path().join(number.to_string()), suite, &mut files);
    }
    files.retain(|file| file.path.to_string_lossy().contains(&options.only));
    let files: Vec<&File> = files.iter().step_by(options.stride).collect();
    let mut score = run(&files);
    if chain::SUITE.contains(&options.only) {
        unpack(&chain, &folder.path().join("chain"));
        chain::run(&folder.path().join("chain/tests"), &KeyRing::new(Box::new(TestKeys)), &mut score);
    }
    print!("{score}");
    if let Some(path) = &options.score {
        std::fs::write(path, score.json()).expect("the score can be written");
    }
    if score.is_perfect() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn unpack(archive: &Path, folder: &Path) {
    std::fs::create_dir(folder).expect("a folder for an archive");
    let status = Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(folder).status().expect("tar runs");
    assert!(status.success(), "cannot unpack {}", archive.display());
}

fn collect(folder: &Path, suite: &'static str, files: &mut Vec<File>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, suite, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(File { suite, path });
        }
    }
}

/// Runs files on all cores.
fn run(files: &[&File]) -> Score {
    let (next, total) = (AtomicUsize::new(0), Mutex::new(Score::default()));
    let work = || {
        let keys = KeyRing::new(Box::new(TestKeys));
        let mut score = Score::default();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            run_file(file, &keys, &mut score);
        }
        total.lock().expect("no thread panicked").add(score);
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    total.into_inner().expect("no thread panicked")
}

fn run_file(file: &File, keys: &KeyRing, score: &mut Score) {
    let text = std::fs::read(&file.path).expect("a fixture can be read");
    if text.starts_with(b"version https://git-lfs") {
        score.absent.push(file.path.file_name().expect("a name").to_string_lossy().into());
        return; // a pointer to a file that is not in the archive
    }
    let fixtures: Value = serde_json::from_slice(&text).expect("a fixture is JSON");
    for (name, fixture) in fixtures.as_object().expect("a fixture is an object") {
        for case in case::cases(fixture) {
            for (how, keys) in [("plain", None), ("encrypted", Some(keys))] {
                let failure = case.run(keys).err();
                let place = || format!("{} {name} {} {how}", file.path.display(), case.label());
                score.count(file.suite, case.fork, how, failure.map(|failure| format!("{}: {failure}", place())));
            }
        }
    }
}

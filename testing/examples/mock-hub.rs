//! Serves checkpoints of this disk as a hub does, at the speed of a network:
//!
//! `cargo run --release -p siskin-testing --example mock-hub -- DIR --rate BYTES_PER_SECOND --port N`
//!
//! Every folder DIR/OWNER/REPO is a repository with the branch `main`, and every DIR/OWNER/REPO@BRANCH another branch.

use std::path::{Path, PathBuf};

use siskin_testing::hub::{File, Hub};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut folder, mut rate, mut port) = (None, 0, 0);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rate" => rate = words.next().ok_or("--rate needs bytes a second")?.parse()?,
            "--port" => port = words.next().ok_or("--port needs a number")?.parse()?,
            _ => folder = Some(PathBuf::from(word)),
        }
    }
    let folder = folder.ok_or("usage: mock-hub DIR [--rate BYTES_PER_SECOND] [--port N]")?;
    let hub = Hub::start_at(port);
    hub.rate(rate);
    for owner in folders(&folder)? {
        for repo in folders(&owner)? {
            let (owner, repo_name) = (name(&owner), name(&repo));
            let (repo_name, branch) = repo_name.split_once('@').unwrap_or((&repo_name, "main"));
            let mut files = Vec::new();
            collect(&repo, &repo, &mut files)?;
            let files = files.iter().map(|(path, file)| (path.as_str(), file.clone()));
            let commit = hub.branch(&format!("{owner}/{repo_name}"), branch, files);
            println!("{owner}/{repo_name}@{branch} {commit}");
        }
    }
    println!("HF_ENDPOINT={}", hub.url());
    let mut printed = 0;
    loop {
        std::thread::sleep(std::time::Duration::from_millis(200));
        for request in hub.take_log() {
            printed += 1;
            let range = request.range.unwrap_or_default();
            println!(
                "{printed} {:?} {} {} {range} {}",
                request.site, request.status, request.path, request.sent
            );
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn folders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut found: Vec<PathBuf> = entries
        .iter()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    Ok(found)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, File)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(below) = path.strip_prefix(root) {
            files.push((below.to_string_lossy().into_owned(), File::on_disk(&path)?));
        }
    }
    Ok(())
}

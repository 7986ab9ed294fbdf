use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;

use super::answer::Answer;

/// Print a commented cluster file to start from
///
/// The file compiles without changes. Replace the names, the addresses and the Kubernetes version.
#[derive(Args)]
pub struct New {
    /// Number of nodes: one control plane, and the rest workers
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=200))]
    nodes: u8,
}

const HEAD: &str = include_str!("new.yaml");

impl New {
    pub(super) fn run(&self) -> Result<Answer> {
        let mut text = HEAD.to_owned();
        for index in 0..self.nodes {
            let (name, role) = match index {
                0 => ("cp1".to_owned(), "control-plane"),
                _ => (format!("w{index}"), "worker"),
            };
            let address = format!("10.200.0.{}", 11 + u16::from(index));
            writeln!(
                text,
                "    - {{name: {name}, role: {role}, address: {address}}}"
            )?;
        }
        Ok(Answer::document(text))
    }
}

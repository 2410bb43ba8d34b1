//! What can be asked on the command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use vkscan::{
    Backend, BackendError, BackendOptions, DeviceInfo, DeviceKind, DeviceSelector,
    MAX_HAYSTACK_BYTES, MatchKind,
};

use crate::errors::LEAST_WINDOW;

/// Most bytes that the NFA of one rule may take, by default.
const SIZE_LIMIT: usize = 10 << 20;

/// Scans files for many regular expressions at once on a Vulkan device.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Log more: -v what is done, -vv how. The environment variable RUST_LOG overrides it.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Subcommand)]
pub enum Command {
    /// Scan files, folders and standard input.
    ///
    /// Folders are walked as ripgrep walks them: without hidden files, without what .gitignore and
    /// .ignore name, without binary files and without following symbolic links. A file named on the
    /// command line is always scanned. Of a pipe, what has come is scanned when no more comes for a moment.
    ///
    /// The exit status is 0 with findings, 1 without, and 2 if anything failed; what can be scanned is
    /// scanned all the same.
    Scan(ScanArgs),
    /// Look into rules.
    Rules(RulesCommandArgs),
    /// Say how each rule is looked for and verified, the ones that cost most first. Needs no device.
    Explain(ExplainArgs),
    /// List the Vulkan devices, and say which one a scan would take and why.
    ///
    /// The exit status is 0 if there is such a device and 2 if there is none.
    Devices(DevicesArgs),
    /// Measure what a device can do at best: how fast its kernels read, how fast it copies, and how long the least takes.
    ///
    /// That takes some seconds. The figures are kept, and `vkscan scan --stats` compares its own with them.
    Ceilings(CeilingsArgs),
    /// Say what the driver has made of the kernels that a scan runs: registers, shared memory, times.
    ///
    /// Each is told as often as it is specialised. What a driver does not tell is called so.
    Kernels(KernelsArgs),
    /// Measure which parameters of the kernels are best for a device and a set of rules, and keep them for scans.
    ///
    /// Every choice that is tried has to find exactly what the CPU finds before it is timed, in turns with the defaults. What
    /// is faster for certain is written to a profile, which later scans on this device go by, until the driver or vkscan
    /// changes. What was measured is kept: a later run goes on from there.
    Tune(TuneArgs),
}

#[derive(clap::Args)]
pub struct ScanArgs {
    #[command(flatten)]
    pub rules: RulesArgs,
    /// Files and folders to scan; `-`, or none at all, is standard input.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Print a summary to standard error.
    #[arg(long)]
    pub stats: bool,
    #[command(flatten)]
    pub results: ResultArgs,
    /// Write what host and device did when to a file, for https://ui.perfetto.dev or chrome://tracing.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// Which matches of a rule count.
    #[arg(long, default_value = "leftmost-first", value_name = "KIND", help_heading = "Matching")]
    pub match_kind: Kind,
    /// Most bytes of a match.
    #[arg(
        long,
        default_value_t = u32::MAX,
        hide_default_value = true,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Matching"
    )]
    pub max_scan_bytes: u32,

    /// Scan what is in compressed files (gzip, bzip2, xz, Zstandard, LZ4) and archives (tar, zip), and in those that are in them,
    /// whatever they are called. Offsets and lines are those of what is in them, which is called `archive!path`.
    #[arg(short = 'z', long, help_heading = "Sources")]
    pub search_zip: bool,
    /// Most bytes that are decoded from one file, with all that is in it.
    #[arg(long, default_value_t = 8 << 30, value_name = "N", requires = "search_zip", help_heading = "Sources")]
    pub max_decoded_bytes: u64,
    /// Scan the history of the git repository at PATH, or around the working directory: each blob once, with the first commit
    /// that has it. All of what HEAD and references lead to, or a RANGE as git takes it: `main`, `v1.0..main`, `HEAD~3..`.
    #[arg(
        long,
        value_name = "RANGE",
        num_args = 0..=1,
        conflicts_with_all = ["hidden", "no_ignore", "follow", "sort"],
        help_heading = "Sources"
    )]
    pub git: Option<Option<String>>,

    /// Scan hidden files and folders too.
    #[arg(long, help_heading = "Walking folders")]
    pub hidden: bool,
    /// Scan what ignore files name too.
    #[arg(long, help_heading = "Walking folders")]
    pub no_ignore: bool,
    /// Scan binary files too: those with a NUL byte in their first 8 KiB.
    #[arg(short = 'a', long, visible_alias = "text", help_heading = "Walking folders")]
    pub binary: bool,
    /// Follow symbolic links.
    #[arg(short = 'L', long, help_heading = "Walking folders")]
    pub follow: bool,

    /// Scan and print in this order, which takes longer; without it in the order in which files are found.
    #[arg(long, value_name = "ORDER", help_heading = "Walking folders")]
    pub sort: Option<Sort>,

    #[command(flatten)]
    pub devices: ScanDevicesArgs,
    #[command(flatten)]
    pub open: OpenArgs,
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Most bytes of a file on the device at once. Larger files are scanned in overlapping windows of that size,
    /// with the same matches.
    #[arg(
        long,
        default_value_t = 64 << 20,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(LEAST_WINDOW as i64..=MAX_HAYSTACK_BYTES as i64),
        help_heading = "Device"
    )]
    pub window_bytes: u32,
    /// Most matches in one window, or in one file that is scanned with others.
    #[arg(long, default_value_t = 1 << 20, value_name = "N", help_heading = "Device")]
    pub max_matches: usize,
    /// Have RenderDoc capture all that is scanned to a file in this folder, and print its path to standard error. Captures
    /// hold all buffers that are used: keep them small, with one small file.
    ///
    /// RenderDoc has to be attached: set ENABLE_VULKAN_RENDERDOC_CAPTURE=1, or start the command from RenderDoc.
    #[arg(long, value_name = "DIR", help_heading = "Device")]
    pub capture: Option<PathBuf>,
}

/// How findings are told.
#[derive(clap::Args)]
pub struct ResultArgs {
    /// How they are printed.
    #[arg(long, default_value = "text", value_name = "FORMAT", help_heading = "Results")]
    format: ResultFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format", help_heading = "Results")]
    json: bool,
    /// Print how many findings each file has.
    #[arg(short, long, group = "how", conflicts_with_all = ["json", "format"], help_heading = "Results")]
    pub count: bool,
    /// Print only which files have any.
    #[arg(short = 'l', long, group = "how", conflicts_with_all = ["json", "format"], help_heading = "Results")]
    pub files_with_matches: bool,
    /// Print only what was found: the secret, where a rule says which part of a match that is.
    #[arg(short, long, group = "how", conflicts_with_all = ["json", "format"], help_heading = "Results")]
    pub only_matching: bool,
    /// Print so many lines behind a finding's own.
    #[arg(short = 'A', long, value_name = "N", conflicts_with_all = ["how", "json", "format"], help_heading = "Results")]
    after_context: Option<usize>,
    /// Print so many lines before a finding's own.
    #[arg(short = 'B', long, value_name = "N", conflicts_with_all = ["how", "json", "format"], help_heading = "Results")]
    before_context: Option<usize>,
    /// Print so many lines before and behind.
    #[arg(short = 'C', long, value_name = "N", conflicts_with_all = ["how", "json", "format"], help_heading = "Results")]
    context: Option<usize>,
    /// When to print colours.
    #[arg(long, default_value = "auto", value_name = "WHEN", help_heading = "Results")]
    pub color: Color,
    /// Print REDACTED where secrets are. The lines around may have others, and are not printed then.
    #[arg(long, conflicts_with_all = ["after_context", "before_context", "context"], help_heading = "Results")]
    pub redact: bool,
    /// Print findings to this file, and not to standard output.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub output: Option<PathBuf>,
    /// Leave out what is known: the findings, by rule and secret, that --write-baseline has written to this file.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub baseline: Option<PathBuf>,
    /// Write down all findings, those of --baseline among them, as known from now on. Secrets are kept as digests.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub write_baseline: Option<PathBuf>,
}

impl ResultArgs {
    pub fn format(&self) -> ResultFormat {
        if self.json { ResultFormat::Json } else { self.format }
    }

    /// How many lines before and behind a finding's own are printed, if any are.
    pub fn lines_around(&self) -> Option<[usize; 2]> {
        let of = [self.before_context, self.after_context].map(|own| own.or(self.context));
        of.iter().any(Option::is_some).then(|| of.map(Option::unwrap_or_default))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultFormat {
    /// path:line:column: rule: text
    Text,
    /// One JSON object a line.
    Json,
    /// A SARIF 2.1.0 document.
    Sarif,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

/// Which tuning sessions go by.
#[derive(clap::Args)]
pub struct ProfileArgs {
    /// Go by the tuning of this profile, which `vkscan tune` wrote on the same device, with the same driver and version of
    /// vkscan. Without it by the one that is kept for the device, if there is one.
    #[arg(long, value_name = "FILE", help_heading = "Device")]
    pub profile: Option<PathBuf>,
    /// Go by the tuning that is built in.
    #[arg(long, conflicts_with = "profile", help_heading = "Device")]
    pub no_profile: bool,
}

#[derive(clap::Args)]
pub struct TuneArgs {
    #[command(flatten)]
    pub rules: RulesArgs,
    /// What is scanned: the first bytes of this file. Without it words in random order, some of them of the rules.
    #[arg(long, value_name = "FILE")]
    pub haystack: Option<PathBuf>,
    /// Most bytes that are scanned at a time.
    #[arg(
        long,
        default_value_t = 16 << 20,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=MAX_HAYSTACK_BYTES as i64)
    )]
    pub bytes: u32,
    /// Where the haystack is before a scan.
    #[arg(long, default_value = "ordinary", value_name = "MEMORY")]
    pub memory: HaystackMemory,
    /// Scans that are under way at the same time.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub in_flight: u8,
    /// How long to search.
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// Write the profile here, and not to where scans find it by themselves.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Keep what is measured here, and go on from what is there; by default in the folder for caches.
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Draw how fast scans are by the two parameters that matter most, to a file in this folder.
    #[arg(long, value_name = "DIR")]
    pub render: Option<PathBuf>,
    /// How the outcome is printed.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub format: Format,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub open: OpenArgs,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum HaystackMemory {
    /// The host's, from where it is copied to staging memory first.
    Ordinary,
    /// Staging memory.
    Staging,
    /// The device's own.
    Device,
}

impl std::fmt::Display for HaystackMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            HaystackMemory::Ordinary => "ordinary",
            HaystackMemory::Staging => "staging",
            HaystackMemory::Device => "device",
        })
    }
}

#[derive(clap::Args)]
pub struct RulesArgs {
    /// Rules: one regular expression a line, named by the lines of a file with the extension .ids beside it; TOML as gitleaks
    /// has it; or YAML as Nosey Parker and Kingfisher have it. Of a folder, all files; of `-`, standard input. May be given
    /// several times.
    ///
    /// The syntax is that of Rust's regex crate, of TOML that of Go's, and rules are about bytes: `.`, `\w`, `\b` and `(?i)` know
    /// ASCII alone. A rule that asks for Unicode anywhere, as by `\p{Greek}`, goes by code points of UTF-8 as a whole; so does one
    /// that begins with `(?u)`.
    #[arg(short, long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// A rule. May be given several times.
    #[arg(short = 'e', long = "regexp", value_name = "REGEX", allow_hyphen_values = true)]
    pub regexps: Vec<String>,
    /// How the rules are written; by default what the file's name and its content say.
    #[arg(long, value_name = "FORMAT", requires = "rules")]
    pub rules_format: Option<RulesFormat>,
    /// The rules that `useDefault = true` extends in gitleaks' form: the config/gitleaks.toml of gitleaks. Without it the
    /// environment variable VKSCAN_GITLEAKS_RULES, or vkscan/gitleaks.toml in the folder for configurations.
    #[arg(long, value_name = "FILE")]
    pub default_rules: Option<PathBuf>,
    /// Least confidence of rules, where they tell theirs, as Kingfisher's do.
    #[arg(long, default_value = "medium", value_name = "LEVEL")]
    pub confidence: Confidence,
    /// Most bytes that the NFA of one rule may take.
    #[arg(long, default_value_t = SIZE_LIMIT, value_name = "N", help_heading = "Matching")]
    pub size_limit: usize,
    /// Neither take nor keep what rules and kernels are compiled to, which is kept in the folder for caches otherwise.
    #[arg(long)]
    pub no_cache: bool,
}

impl RulesArgs {
    pub fn are_given(&self) -> bool {
        !self.rules.is_empty() || !self.regexps.is_empty()
    }
}

#[derive(clap::Args)]
pub struct RulesCommandArgs {
    #[command(subcommand)]
    pub command: RulesCommand,
}

#[derive(Subcommand)]
pub enum RulesCommand {
    /// Say whether rules find their examples, and none of their negative ones. Needs no device.
    ///
    /// The exit status is 0 if all are right, and 2 if any is wrong.
    Check(RulesArgs),
}

/// How likely a rule's findings are right.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    #[serde(alias = "Low")]
    Low,
    #[serde(alias = "Medium")]
    Medium,
    #[serde(alias = "High")]
    High,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RulesFormat {
    /// One regular expression a line, whatever they look like.
    Lines,
    /// Gitleaks' form.
    Toml,
    /// Nosey Parker's and Kingfisher's form.
    Yaml,
}

#[derive(clap::Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub rules: RulesArgs,
    /// How the rules are printed.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub format: Format,
    /// Print all that each rule was compiled to instead, in the language of Graphviz: splits, grams and automata.
    #[arg(long, conflicts_with = "format")]
    pub dump: bool,
}

#[derive(clap::Args)]
pub struct DevicesArgs {
    /// How devices are printed.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub format: Format,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(clap::Args)]
pub struct CeilingsArgs {
    /// How they are printed.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub format: Format,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(clap::Args)]
pub struct KernelsArgs {
    /// Those of the scan; without any, some of different kinds.
    #[command(flatten)]
    pub rules: RulesArgs,
    /// How kernels are printed.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub format: Format,
    /// Print what the driver compiled them to, too, such as the device's machine code.
    #[arg(long)]
    pub asm: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub open: OpenArgs,
    #[command(flatten)]
    pub profile: ProfileArgs,
}

#[derive(clap::Args)]
pub struct DeviceArgs {
    /// The device: its index, a part of its name, or its UUID. Without it the environment variable
    /// VKSCAN_DEVICE, or the preferred device that `vkscan devices` names.
    #[arg(long, value_name = "SELECTOR", help_heading = "Device")]
    pub device: Option<DeviceSelector>,
}

impl DeviceArgs {
    pub fn backend_options(&self) -> BackendOptions {
        BackendOptions::default().device(self.device.clone())
    }
}

#[derive(clap::Args)]
pub struct ScanDevicesArgs {
    /// The device: its index, a part of its name, or its UUID; or several of these with commas between them, or `all` of the
    /// host's, without CPUs where there are others. Files, and windows of large ones, go to whichever device is free. Without
    /// it the environment variable VKSCAN_DEVICE, or the preferred device that `vkscan devices` names.
    #[arg(long = "device", value_name = "SELECTORS", help_heading = "Device")]
    pub devices: Option<ScanDevices>,
}

/// Which devices scan.
#[derive(Clone, Debug)]
pub enum ScanDevices {
    All,
    These(Vec<DeviceSelector>),
}

impl FromStr for ScanDevices {
    type Err = <DeviceSelector as FromStr>::Err;

    fn from_str(text: &str) -> Result<ScanDevices, Self::Err> {
        match text {
            "all" => Ok(ScanDevices::All),
            _ => text.split(',').map(str::parse).collect::<Result<_, _>>().map(ScanDevices::These),
        }
    }
}

impl ScanDevicesArgs {
    /// Each device to be opened, none of which is the one that is taken by default.
    ///
    /// # Errors
    ///
    /// Devices that cannot be listed.
    pub fn selectors(&self) -> Result<Vec<Option<DeviceSelector>>, BackendError> {
        let all = match &self.devices {
            None => return Ok(vec![None]),
            Some(ScanDevices::These(these)) => {
                return Ok(these.iter().cloned().map(Some).collect());
            }
            Some(ScanDevices::All) => Backend::devices(&BackendOptions::default())?,
        };
        let usable = |device: &&DeviceInfo| device.unsuitable.is_none();
        let is_cpu = |device: &DeviceInfo| device.kind == DeviceKind::Cpu;
        let has_others = all.iter().filter(usable).any(|device| !is_cpu(device));
        let taken = all.iter().filter(usable).filter(|device| !(has_others && is_cpu(device)));
        Ok(taken.map(|device| Some(DeviceSelector::Uuid(device.uuid))).collect())
    }
}

/// How a device is opened.
#[derive(clap::Args)]
pub struct OpenArgs {
    /// Most seconds to wait for the device at once.
    #[arg(
        long,
        default_value_t = 60,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Device"
    )]
    pub wait_timeout: u64,
    /// Keep what the driver makes of the kernels in this file, and not where scans find it by themselves. It is made if it is not
    /// there, and ignored with a warning where it cannot be used.
    #[arg(long, value_name = "FILE", help_heading = "Device")]
    pub pipeline_cache: Option<PathBuf>,
    /// Have the device write down which stages it begins and ends, so that the error of a lost device says where it was.
    /// Scans take longer.
    #[arg(long, help_heading = "Device")]
    pub stage_marks: bool,
}

impl OpenArgs {
    pub fn backend_options(&self, device: Option<DeviceSelector>) -> BackendOptions {
        let wait_timeout = Duration::from_secs(self.wait_timeout);
        let options = BackendOptions::default().device(device).wait_timeout(wait_timeout);
        options.pipeline_cache(self.pipeline_cache.clone()).stage_marks(self.stage_marks)
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Sort {
    /// In the order of the arguments, and by path within each.
    Path,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// What the `regex` crate finds: no two matches of a rule overlap.
    LeftmostFirst,
    /// Every range of bytes that a rule matches.
    All,
}

impl From<Kind> for MatchKind {
    fn from(kind: Kind) -> MatchKind {
        match kind {
            Kind::LeftmostFirst => MatchKind::LeftmostFirst,
            Kind::All => MatchKind::All,
        }
    }
}

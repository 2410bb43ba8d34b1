use vkscan::*;
fn main() {
    let backend = Backend::new(&BackendOptions::default()).unwrap();
    let rules = RulePipeline::new(&[r#"(?i)[\w.-]{0,50}?(?:passw(?:or)?d)[ \t\w.-]{0,20}[\s'"]{0,3}(?:=|>|:)['"= ]{0,5}[\w.=-]{10,150}"#]).unwrap();
    let mut scratch = ScanScratch::default();
    let mut m = Vec::new();
    for n in [1usize << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 22] {
        let s = rules.prepare_resident(&backend, n, 1 << 18).unwrap();
        let h: Vec<u8> = b"password".iter().copied().cycle().take(n).collect();
        for _ in 0..3 {
            let t = std::time::Instant::now();
            let st = s.scan_into(&backend, &h[..], &mut m, &mut scratch).unwrap();
            println!("{n} {:?} {st:?}", t.elapsed());
        }
        s.free(&backend).unwrap();
    }
}

//! Profiles: how they are measured, which one a scan goes by, and which ones it does not.

use super::*;
use vkscan::{Backend, BackendOptions, DeviceInfo, Tuning, TuningProfile};

/// The device that the command picks by itself.
fn device() -> DeviceInfo {
    Backend::new(&BackendOptions::default()).unwrap().device_info().clone()
}

/// A profile that was not measured.
fn profile(info: &DeviceInfo) -> TuningProfile {
    let mut tuning = Tuning::for_device(info);
    tuning.set("first_rounds", 3).unwrap();
    TuningProfile::new(info, &tuning, "tried by hand".to_owned())
}

#[test]
fn scans_go_by_a_profile_that_fits_and_by_no_other() {
    let folder = Folder::new();
    folder.write("text", "a key, some key\n".repeat(100));
    let cache = folder.path("cache");
    let scan = |args: &[&str]| {
        let mut command = folder.scan("key");
        command.env("XDG_CACHE_HOME", &cache).arg("--stats").args(args);
        let command = command.arg("text");
        let (code, output) = run(command);
        (code, stderr(&output), output.stdout)
    };
    let (code, told, plain) = scan(&[]);
    assert!(code == 0 && told.contains("tuning    built in"), "{told}");

    let info = device();
    fs::create_dir_all(cache.join("vkscan")).unwrap();
    let own = cache.join("vkscan").join(format!("profile-{}.json", info.uuid));
    profile(&info).write(&own).unwrap();
    let (code, told, found) = scan(&[]);
    assert!(code == 0 && found == plain, "{told}");
    assert!(told.contains(".json: tried by hand") && !told.contains("WARN the tuning"), "{told}");
    let (_, told, found) = scan(&["--no-profile"]);
    assert!(found == plain && told.contains("tuning    built in"), "{told}");

    // What was measured on something else is left out where it was found, and an error where it is asked for.
    let text = fs::read_to_string(&own).unwrap();
    let mut stale: Value = serde_json::from_str(&text).unwrap();
    stale["kernels"] = "others".into();
    for (text, why) in [
        (stale.to_string(), "measured on the kernels others"),
        ("{".to_owned(), "it is no tuning profile"),
        (text.replace("first_rounds", "pace"), "there is no parameter \"pace\""),
        (text.replace(": 3", ": 0"), "first_rounds of 0 does not do"),
    ] {
        fs::write(&own, &text).unwrap();
        let (code, told, found) = scan(&[]);
        assert!(code == 0 && found == plain && told.contains("tuning    built in"), "{told}");
        assert!(told.contains("is left out") && told.contains(why), "{told}");
        let (code, told, found) = scan(&["--profile", own.to_str().unwrap()]);
        assert!(code == 2 && found.is_empty() && told.contains(why), "{told}");
    }
    let (code, told, _) = scan(&["--profile", "nowhere.json"]);
    assert!(code == 2 && told.contains("nowhere.json"), "{told}");
}

#[test]
fn tuning_measures_checks_keeps_and_goes_on() {
    let folder = Folder::new();
    let rules = folder.write("rules.regex", "key=[0-9]{4}\n[a-z]*secret.{0,20}\n");
    let tune = |args: &[&str]| {
        let mut command = vkscan();
        command.current_dir(folder.path("")).env("XDG_CACHE_HOME", folder.path("cache"));
        command.args(["tune", "--rules"]).arg(&rules).args(["--bytes", "40000"]);
        command.args(["--format", "json"]).args(args);
        run(&mut command)
    };
    let tuned = |args: &[&str]| {
        let (code, output) = tune(args);
        assert_eq!(code, 0, "{}", stderr(&output));
        let [record] = &records(&output.stdout)[..] else { panic!("one object") };
        record.clone()
    };
    let first = tuned(&["--seconds", "8", "--render", "pictures"]);
    let tried = |record: &Value| record["tried"].as_u64().unwrap();
    assert!(tried(&first) > 10 && first["refused"] == Value::Array(Vec::new()), "{first}");
    assert!(first["defaults_ns"].as_u64().unwrap() > 0);
    assert!(first["work"].as_str().unwrap().contains(" over 40000 bytes of words ("));
    let picture = fs::read_to_string(folder.path("pictures/landscape.svg")).unwrap();
    for name in first["landscape"].as_array().unwrap() {
        assert!(picture.contains(name.as_str().unwrap()));
    }
    // Whether anything is faster here is the machine's business; what is written then is what scans go by.
    if let Some(path) = first["winner"]["profile"].as_str() {
        assert!(first["winner"]["time_high"].as_f64().unwrap() < 1.0, "{first}");
        let tuning = TuningProfile::read(Path::new(path)).unwrap().tuning(&device()).unwrap();
        for (name, value) in first["winner"]["values"].as_object().unwrap() {
            assert_eq!(tuning.get(name), value.as_u64());
        }
    }
    // It goes on from what is known, which something else is not.
    let second = tuned(&["--seconds", "1"]);
    assert!(tried(&second) >= tried(&first), "{second}");
    let other = tuned(&["--seconds", "1", "--memory", "device", "--in-flight", "2"]);
    assert!(tried(&other) < tried(&first), "{other}");
    fs::write(folder.path("broken.json"), "{").unwrap();
    let (code, output) =
        tune(&["--seconds", "1", "--results", "broken.json", "--memory", "staging"]);
    let told = stderr(&output);
    assert!(code == 0 && told.contains("what was measured before is left out"), "{told}");
    assert!(!told.contains("is not kept"), "{told}");

    folder.write("empty", "");
    for (args, told) in [
        (&["--haystack", "nowhere"][..], "nowhere"),
        (&["--haystack", "empty"], "nothing in it to scan"),
        (&["--bytes", "0"], "--bytes"),
        (&["--in-flight", "0"], "--in-flight"),
    ] {
        let (code, output) = tune(args);
        assert!(code == 2 && stderr(&output).contains(told), "{}", stderr(&output));
    }
}

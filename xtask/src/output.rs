//! Reading what `cargo test` prints.

/// The sum of the results of all the test programs of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestCounts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that were ignored.
    pub ignored: u64,
    /// Test programs that said how they ended.
    pub programs: u64,
    /// Test programs that died before they could say how they ended; a crash, or a time limit.
    pub crashed: u64,
    /// The names of failed tests, in order.
    pub failures: Vec<String>,
    /// What to type after `cargo test` for each test program that failed or crashed.
    pub targets: Vec<String>,
    /// A test program has begun and not yet said how it ended.
    pub running: bool,
}

impl TestCounts {
    /// Takes the next line of the output.
    pub fn read_line(&mut self, line: &str) {
        let plain = strip_ansi(line);
        let plain = plain.trim();
        if let Some([passed, failed, ignored]) = parse_result(plain) {
            self.passed += passed;
            self.failed += failed;
            self.ignored += ignored;
            self.programs += 1;
            self.running = false;
        } else if let Some(name) = plain.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        } else if let Some(target) =
            plain.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).filter(|rest| rest.starts_with("-p "))
        {
            // Cargo's own list at the end of a run.
            self.targets.push(target.to_owned());
        } else if is_start(plain) {
            self.close();
            self.running = true;
        }
    }

    /// Takes the end of the output: a test program that has begun and not said how it ended has crashed.
    pub fn close(&mut self) {
        self.crashed += u64::from(std::mem::take(&mut self.running));
    }
}

/// `running 3 tests`, the first line of a test program.
fn is_start(line: &str) -> bool {
    let mut words = line.split(' ');
    words.next() == Some("running")
        && words.next().is_some_and(|count| count.parse::<u64>().is_ok())
        && matches!(words.next(), Some("test" | "tests"))
        && words.next().is_none()
}

/// Passed, failed and ignored of `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`.
fn parse_result(line: &str) -> Option<[u64; 3]> {
    // Something that a test started may have written into the line before it.
    let (_, counts) = line.split_once("test result: ")?.1.split_once(". ")?;
    let count = |word: &str| counts.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok());
    Some([count(" passed")?, count(" failed")?, count(" ignored")?])
}

/// The line without the escape sequences that colour it (ECMA-48 `ESC [ … final byte`, ECMA-35 `ESC ( final byte`).
fn strip_ansi(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char != '\u{1b}' {
            plain.push(char);
            continue;
        }
        // What comes before the final byte is in a lower range of codes than it.
        let final_bytes = match chars.next() {
            Some('[') => '\u{40}'..='\u{7e}',
            Some('(' | ')') => '\u{30}'..='\u{7e}',
            _ => continue,
        };
        let _final_byte = chars.find(|char| final_bytes.contains(char));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(output: &str) -> TestCounts {
        let mut counts = TestCounts::default();
        output.lines().for_each(|line| counts.read_line(line));
        counts.close();
        counts
    }

    #[test]
    fn results_of_several_programs_add_up() {
        let counts = counts(
            "\nrunning 2 tests\ntest a::b ... ok\ntest c ... ignored, no camera\n\ntest result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             \nrunning 3 tests\ntest x ... ok\ntest y::z ... FAILED\ntest w - should panic ... FAILED\n\nfailures:\n\n---- y::z stdout ----\nboom\n\n\
             test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.02s\n",
        );
        assert_eq!((counts.passed, counts.failed, counts.ignored, counts.programs, counts.crashed), (2, 2, 1, 2, 0));
        assert_eq!(counts.failures, ["y::z", "w - should panic"]);
    }

    #[test]
    fn colours_do_not_matter() {
        let counts = counts(
            "test y ... \u{1b}[31mFAILED\u{1b}(B\u{1b}[m\ntest result: \u{1b}[31mFAILED\u{1b}(B\u{1b}[m. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        );
        assert_eq!(counts.failures, ["y"]);
        assert_eq!((counts.passed, counts.failed), (4, 1));
        assert_eq!(strip_ansi("\u{1b}[1;31mred\u{1b}[0m, plain\u{1b}["), "red, plain");
    }

    #[test]
    fn a_program_that_dies_is_noticed() {
        let crashed = counts("running 5 tests\ntest a ... ok\nerror: 1 target failed:\n    `-p studio_media --lib`\n");
        assert_eq!((crashed.crashed, crashed.targets), (1, vec!["-p studio_media --lib".to_owned()]));
        assert_eq!(
            counts("running 5 tests\nrunning 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out")
                .crashed,
            1
        );
    }

    #[test]
    fn a_result_is_found_behind_what_a_test_left_in_the_line() {
        assert_eq!(counts("50 %test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out").passed, 9);
    }

    #[test]
    fn other_lines_are_not_results() {
        let nothing = counts(
            "test result: fine\ntest result: ok. many passed; 0 failed; 0 ignored\nrunning late\nrunning 3 tests of ours\ntesting ... FAILED\n",
        );
        assert_eq!(nothing, TestCounts::default());
    }
}

//! Two results side by side, with their ratio.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mnemon_cli::Output;
use serde_json::{Map, Value, json};

/// Which results to compare.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each file holds one or more results of the same measurement, as --json prints them; of several, \
the median of each figure counts."
)]
pub struct CompareArgs {
    /// File with the results before a change
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// File with the results after it
    #[arg(value_name = "AFTER")]
    after: PathBuf,
}

/// Prints every figure of both files, and after divided by before.
///
/// # Errors
/// A file that cannot be read, or holds no JSON.
pub fn run(args: &CompareArgs, out: &Output) -> anyhow::Result<()> {
    let before = read(&args.before)?;
    let after = read(&args.after)?;
    let figures = compare(&before, &after);
    out.value(&Value::Object(figures), human)
}

/// The medians of a file's figures, by their path, in the order of the first result.
fn read(file: &Path) -> anyhow::Result<Vec<(String, f64)>> {
    let name = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(name)?;
    let mut figures: Vec<(String, Vec<f64>)> = Vec::new();
    for result in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        flatten("", &result.with_context(name)?, &mut |path, number| match figures
            .iter_mut()
            .find(|(known, _)| *known == path)
        {
            Some((_, numbers)) => numbers.push(number),
            None => figures.push((path, vec![number])),
        });
    }
    anyhow::ensure!(!figures.is_empty(), "{} holds no figures", name());
    Ok(figures.into_iter().map(|(path, numbers)| (path, median(numbers))).collect())
}

/// Calls `found` with each number and its path: `search.large.fusion_ms.p50`.
fn flatten(path: &str, value: &Value, found: &mut impl FnMut(String, f64)) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Number(number) => found(path.to_owned(), number.as_f64().unwrap_or(f64::NAN)),
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&below(key), value, found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| flatten(&below(&at.to_string()), value, found));
        }
        _ => {}
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 }
}

/// By path: `before`, `after` and `ratio`, each null where a file lacks the figure.
fn compare(before: &[(String, f64)], after: &[(String, f64)]) -> Map<String, Value> {
    let find = |figures: &[(String, f64)], path: &str| {
        figures.iter().find(|(known, _)| known == path).map(|(_, number)| *number)
    };
    let mut all = Map::new();
    for (path, _) in before.iter().chain(after) {
        let (before, after) = (find(before, path), find(after, path));
        let ratio = before.zip(after).map(|(before, after)| after / before).filter(|ratio| ratio.is_finite());
        let ratio = ratio.map(|ratio| mnemon_cli::figures::rounded(ratio, 4));
        all.insert(path.clone(), json!({"before": before, "after": after, "ratio": ratio}));
    }
    all
}

fn human(figures: &Value) -> String {
    let mut text = format!("{:<44}{:>14}{:>14}{:>9}\n", "", "before", "after", "ratio");
    for (path, figure) in figures.as_object().into_iter().flatten() {
        let number = |key: &str| figure[key].as_f64().map_or_else(|| "-".to_owned(), |number| number.to_string());
        let ratio = figure["ratio"].as_f64().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
        text.push_str(&format!("{path:<44}{:>14}{:>14}{ratio:>9}\n", number("before"), number("after")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_compared_by_their_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let before = file("before", "{\"rate\": 10, \"ms\": {\"p50\": 2.0}}\n{\"rate\": 30, \"ms\": {\"p50\": 4.0}}\n");
        let after = file("after", "{\"rate\": 10, \"ms\": {\"p50\": 1.5, \"p95\": 9}, \"name\": \"x\"}");
        let figures = compare(&read(&before).unwrap(), &read(&after).unwrap());
        assert_eq!(
            Value::Object(figures),
            json!({
                "rate": {"before": 20.0, "after": 10.0, "ratio": 0.5},
                "ms.p50": {"before": 3.0, "after": 1.5, "ratio": 0.5},
                "ms.p95": {"before": null, "after": 9.0, "ratio": null},
            })
        );
    }

    #[test]
    fn a_file_without_figures_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        for text in ["", "{}", "no JSON"] {
            std::fs::write(&path, text).unwrap();
            assert!(read(&path).is_err(), "{text:?}");
        }
    }
}

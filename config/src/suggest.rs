//! "did you mean …?", for every kind of name that a user can mistype.

/// Names longer than this are not typing errors of anything.
const LONGEST: usize = 64;

/// Asks for the candidate that is close to `name`, as the text of a hint.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// A show with more names than this is not searched to its end for a hint.
const MOST_CANDIDATES: usize = 1000;

/// The candidate that `name` was most probably meant to be, if any is close enough.
pub(crate) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let folded = fold(name);
    let tolerance = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .take(MOST_CANDIDATES)
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= tolerance && candidate.len() <= LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|&(distance, candidate)| distance <= tolerance && distance < candidate.len())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the choice between `-` and `_` are the likeliest mistakes, and count as none.
fn fold(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested_and_a_distant_one_is_not() {
        let names = ["bind", "destination", "root"];
        assert_eq!(closest("destinatoin", names), Some("destination"));
        assert_eq!(closest("Bind", names), Some("bind"));
        assert_eq!(closest("port", names), None);
        assert_eq!(closest("", names), None);
    }

    #[test]
    fn underscores_count_as_hyphens() {
        assert_eq!(closest("default_handler", ["default-handler"]), Some("default-handler"));
    }

    #[test]
    fn one_letter_names_are_not_suggested_for_each_other() {
        assert_eq!(closest("a", ["b"]), None);
    }
}

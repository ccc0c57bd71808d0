//! Dates of seconds since 1970, in the Gregorian calendar and UTC.

use alloc::format;
use alloc::string::String;

/// Days of 400 years, after which the calendar repeats itself.
const DAYS_OF_400_YEARS: i64 = 146_097;
/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: i64 = 719_468;

/// `YYYY-MM-DD hh:mm:ss`.
pub fn date_and_time(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of the month, `days` after 1970-01-01. Years are counted from 1 March, so that the leap day comes
/// last and the lengths of the months before it follow one formula: the n-th month begins (153 n + 2) / 5 days in.
fn date(days: i64) -> (i64, i64, i64) {
    let since = days + DAYS_TO_1970;
    let (cycle, day_of_cycle) = (since.div_euclid(DAYS_OF_400_YEARS), since.rem_euclid(DAYS_OF_400_YEARS));
    // Leap days that lie before, taken out: one in 4 years (1460 days), none in 100 (36524), one in 400.
    let leap_days = day_of_cycle / 1460 - day_of_cycle / 36_524 + day_of_cycle / (DAYS_OF_400_YEARS - 1);
    let year = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::date_and_time;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date_and_time(0), "1970-01-01 00:00:00");
        assert_eq!(date_and_time(951_868_799), "2000-02-29 23:59:59");
        assert_eq!(date_and_time(951_868_800), "2000-03-01 00:00:00");
        assert_eq!(date_and_time(4_107_542_400), "2100-03-01 00:00:00");
        assert_eq!(date_and_time(-1), "1969-12-31 23:59:59");
        assert_eq!(date_and_time(1_798_761_599), "2026-12-31 23:59:59");
    }
}

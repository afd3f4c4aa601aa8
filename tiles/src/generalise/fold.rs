//! Many numbers to one, for clusters.

use super::rules::Fold;
use crate::feature::Value;

/// What is known of the numbers so far. Sums of whole numbers are exact.
#[derive(Clone, Debug, Default)]
pub(super) struct Folded {
    count: u64,
    whole: i128,
    real: f64,
    is_real: bool,
    /// The largest or the least so far, as it came.
    chosen: Option<Value>,
}

impl Folded {
    /// Takes a value; what is no number does not count.
    pub(super) fn add(&mut self, fold: Fold, value: &Value) {
        let Some(number) = value.number().filter(|number| number.is_finite()) else { return };
        self.count += 1;
        match value {
            Value::Natural(whole) => self.whole += i128::from(*whole),
            Value::Negative(whole) => self.whole += i128::from(*whole),
            _ => {
                self.real += number;
                self.is_real = true;
            }
        }
        self.choose(fold, value);
    }

    /// Takes what another has taken.
    pub(super) fn join(&mut self, fold: Fold, other: &Self) {
        self.count += other.count;
        self.whole += other.whole;
        self.real += other.real;
        self.is_real |= other.is_real;
        if let Some(value) = &other.chosen {
            self.choose(fold, value);
        }
    }

    fn choose(&mut self, fold: Fold, value: &Value) {
        let number = |value: &Value| value.number().unwrap_or(f64::NAN);
        let better = match (&self.chosen, fold) {
            (_, Fold::Sum | Fold::Mean) => return,
            (None, _) => true,
            (Some(chosen), Fold::Max) => number(value) > number(chosen),
            (Some(chosen), Fold::Min) => number(value) < number(chosen),
        };
        if better {
            self.chosen = Some(value.clone());
        }
    }

    /// The one value; `None` when there was no number.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 a double is as near as there is")]
    pub(super) fn value(&self, fold: Fold) -> Option<Value> {
        if self.count == 0 {
            return None;
        }
        match fold {
            Fold::Max | Fold::Min => self.chosen.clone(),
            Fold::Mean => Some(Value::Double((self.whole as f64 + self.real) / self.count as f64)),
            Fold::Sum if self.is_real => Some(Value::Double(self.whole as f64 + self.real)),
            Fold::Sum => Some(match (u64::try_from(self.whole), i64::try_from(self.whole)) {
                (Ok(natural), _) => Value::Natural(natural),
                (_, Ok(negative)) => Value::Negative(negative),
                _ => Value::Double(self.whole as f64),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_one_and_the_rest_does_not_count() {
        let values =
            [Value::Natural(7), Value::Text("9".into()), Value::Negative(-10), Value::Double(f64::NAN)];
        let folded = |fold, values: &[Value]| {
            let (mut left, mut right) = (Folded::default(), Folded::default());
            values.iter().take(1).for_each(|value| left.add(fold, value));
            values.iter().skip(1).for_each(|value| right.add(fold, value));
            left.join(fold, &right);
            left.value(fold)
        };
        assert_eq!(folded(Fold::Sum, &values), Some(Value::Negative(-3)));
        assert_eq!(folded(Fold::Mean, &values), Some(Value::Double(-1.5)));
        assert_eq!(folded(Fold::Max, &values), Some(Value::Natural(7)));
        assert_eq!(folded(Fold::Min, &values), Some(Value::Negative(-10)));
        assert_eq!(folded(Fold::Sum, &[Value::Natural(1), Value::Double(0.5)]), Some(Value::Double(1.5)));
        assert_eq!(folded(Fold::Sum, &[Value::Bool(true)]), None);
        assert_eq!(
            folded(Fold::Sum, &vec![Value::Natural(u64::MAX); 2]),
            Some(Value::Double(36_893_488_147_419_103_232.0))
        );
    }
}

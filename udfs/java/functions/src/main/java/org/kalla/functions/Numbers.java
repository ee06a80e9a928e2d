package org.kalla.functions;

import java.math.BigDecimal;

/** Functions over numbers. All are exact: BigDecimal neither rounds sums nor products. */
public final class Numbers {
  private static final BigDecimal HUNDRED = BigDecimal.valueOf(100);

  private Numbers() {}

  /** Whether a and b lie at most {@code tolerance} apart, limit included; null where an argument is. */
  public static Boolean toleranceMatch(BigDecimal a, BigDecimal b, BigDecimal tolerance) {
    if (a == null || b == null || tolerance == null) {
      return null;
    }
    return a.subtract(b).abs().compareTo(tolerance) <= 0;
  }

  /** Whether b differs from a by at most {@code percent} per cent of a, limit included; null where an argument is. */
  public static Boolean percentMatch(BigDecimal a, BigDecimal b, BigDecimal percent) {
    if (a == null || b == null || percent == null) {
      return null;
    }
    return a.subtract(b).abs().multiply(HUNDRED).compareTo(a.abs().multiply(percent)) <= 0;
  }
}

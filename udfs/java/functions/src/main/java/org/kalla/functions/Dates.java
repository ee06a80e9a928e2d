package org.kalla.functions;

import java.math.BigDecimal;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;

/** Functions over dates and timestamps. */
public final class Dates {
  private static final BigDecimal DAY = BigDecimal.valueOf(86_400_000_000L);
  private static final LocalDateTime EPOCH = LocalDateTime.ofEpochSecond(0, 0, ZoneOffset.UTC);

  private Dates() {}

  /** Whether a and b lie at most {@code days} of 24 hours apart, limit included; null where an argument is. */
  public static Boolean dateWithin(LocalDateTime a, LocalDateTime b, BigDecimal days) {
    if (a == null || b == null || days == null) {
      return null;
    }
    return within(micros(a), micros(b), days);
  }

  /** The same over microseconds of one clock. */
  static boolean within(long a, long b, BigDecimal days) {
    return BigDecimal.valueOf(a).subtract(BigDecimal.valueOf(b)).abs().compareTo(days.multiply(DAY)) <= 0;
  }

  private static long micros(LocalDateTime moment) {
    return EPOCH.until(moment, ChronoUnit.MICROS);
  }
}

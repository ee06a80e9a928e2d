package org.kalla.sql;

import java.math.BigDecimal;
import java.sql.Timestamp;
import java.util.Map;
import org.apache.beam.sdk.extensions.sql.BeamSqlUdf;
import org.apache.beam.sdk.extensions.sql.meta.provider.UdfUdafProvider;
import org.kalla.functions.Dates;
import org.kalla.functions.Numbers;
import org.kalla.functions.Texts;

/**
 * The match functions under their names in Beam SQL, found by the service loader. Each takes all its arguments: Beam SQL
 * knows no optional ones.
 */
public final class Functions implements UdfUdafProvider {

  @Override
  public Map<String, Class<? extends BeamSqlUdf>> getBeamSqlUdfs() {
    return Map.of(
        "tolerance_match", ToleranceMatch.class,
        "percent_match", PercentMatch.class,
        "date_within", DateWithin.class,
        "normalize_ref", NormalizeRef.class,
        "text_similarity", TextSimilarity.class,
        "regex_extract", RegexExtract.class);
  }

  /** {@code tolerance_match(a, b, tolerance)}. */
  public static final class ToleranceMatch implements BeamSqlUdf {
    public static Boolean eval(BigDecimal a, BigDecimal b, BigDecimal tolerance) {
      return Numbers.toleranceMatch(a, b, tolerance);
    }
  }

  /** {@code percent_match(a, b, percent)}. */
  public static final class PercentMatch implements BeamSqlUdf {
    public static Boolean eval(BigDecimal a, BigDecimal b, BigDecimal percent) {
      return Numbers.percentMatch(a, b, percent);
    }
  }

  /** {@code date_within(a, b, days)}; dates are cast to timestamps. The program runs in UTC (see {@link Service}). */
  public static final class DateWithin implements BeamSqlUdf {
    public static Boolean eval(Timestamp a, Timestamp b, BigDecimal days) {
      return a == null || b == null ? null : Dates.dateWithin(a.toLocalDateTime(), b.toLocalDateTime(), days);
    }
  }

  /** {@code normalize_ref(text, strip_leading_zeros)}. */
  public static final class NormalizeRef implements BeamSqlUdf {
    public static String eval(String text, Boolean strip) {
      return strip == null ? null : Texts.normalizeRef(text, strip);
    }
  }

  /** {@code text_similarity(a, b)}. */
  public static final class TextSimilarity implements BeamSqlUdf {
    public static BigDecimal eval(String a, String b) {
      return Texts.textSimilarity(a, b);
    }
  }

  /** {@code regex_extract(text, pattern, group)}. */
  public static final class RegexExtract implements BeamSqlUdf {
    public static String eval(String text, String pattern, Integer group) {
      return group == null ? null : Texts.regexExtract(text, pattern, group);
    }
  }
}

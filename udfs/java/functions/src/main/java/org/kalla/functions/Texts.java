package org.kalla.functions;

import com.google.re2j.Matcher;
import com.google.re2j.Pattern;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.text.Normalizer;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Functions over text: comparing references, names and remarks. */
public final class Texts {
  private static final int MOST_PATTERNS = 256;
  private static final Map<String, Pattern> PATTERNS = new ConcurrentHashMap<>();

  private Texts() {}

  /**
   * The letters and digits of a reference in capitals; null when nothing is left or {@code text} is null.
   *
   * @param strip drops the zeros at the very start, and keeps one where all is zeros
   */
  public static String normalizeRef(String text, boolean strip) {
    if (text == null) {
      return null;
    }
    StringBuilder clean = new StringBuilder(text.length());
    Normalizer.normalize(text, Normalizer.Form.NFC)
        .codePoints()
        .filter(Letters::kept)
        .map(Letters::capital)
        .forEach(clean::appendCodePoint);
    int start = 0;
    while (strip && start < clean.length() - 1 && clean.charAt(start) == '0') {
      start++;
    }
    return clean.length() == 0 ? null : clean.substring(start);
  }

  /** How alike two texts are, from 0 to 1 with four decimals, rounded down, over code points; null where one is. */
  public static BigDecimal textSimilarity(String a, String b) {
    if (a == null || b == null) {
      return null;
    }
    int[] left = a.codePoints().toArray();
    int[] right = b.codePoints().toArray();
    long longest = Math.max(left.length, right.length);
    long share = longest == 0 ? 10_000 : (longest - distance(left, right)) * 10_000 / longest;
    return new BigDecimal(BigInteger.valueOf(share), 4);
  }

  /** Levenshtein: the number of insertions, deletions and replacements, in memory of one row. */
  private static int distance(int[] a, int[] b) {
    int[] row = new int[b.length + 1];
    for (int j = 0; j <= b.length; j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length; i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length; j++) {
        int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(replaced, Math.min(row[j], row[j - 1]) + 1);
      }
    }
    return row[b.length];
  }

  /**
   * The first part of a text that fits a pattern, or one group of it; null when nothing fits or what fits is empty.
   *
   * <p>Patterns are RE2's, in linear time; which ones match_sql may use is decided where a recipe is compiled.
   */
  public static String regexExtract(String text, String pattern, int group) {
    if (text == null || pattern == null) {
      return null;
    }
    Matcher found = compiled(pattern).matcher(text);
    String part = found.find() ? found.group(group) : null;
    return part == null || part.isEmpty() ? null : part;
  }

  private static Pattern compiled(String pattern) {
    if (PATTERNS.size() > MOST_PATTERNS) {
      PATTERNS.clear();
    }
    return PATTERNS.computeIfAbsent(pattern, Pattern::compile);
  }
}

package org.kalla.functions;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;

/**
 * Which characters are letters or digits, and their capitals, by a table of our own: Java, Python and the SQL engine each
 * carry another version of Unicode, and a reference must read alike in all three.
 */
final class Letters {
  private static final BitSet KEPT = new BitSet(Character.MAX_CODE_POINT);
  private static final Map<Integer, Integer> CAPITALS = new HashMap<>();

  static {
    // "41-5a" are kept; "df 1e9e" is a capital that Java's own table has otherwise.
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(Letters.class.getResourceAsStream("letters.txt"), StandardCharsets.US_ASCII))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        read(line);
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private Letters() {}

  private static void read(String line) {
    int split = line.indexOf('-');
    if (split > 0) {
      KEPT.set(Integer.parseInt(line.substring(0, split), 16), Integer.parseInt(line.substring(split + 1), 16) + 1);
      return;
    }
    split = line.indexOf(' ');
    CAPITALS.put(Integer.parseInt(line.substring(0, split), 16), Integer.parseInt(line.substring(split + 1), 16));
  }

  static boolean kept(int character) {
    return KEPT.get(character);
  }

  /** One character for one: Unicode's simple mapping. */
  static int capital(int character) {
    Integer own = CAPITALS.get(character);
    return own != null ? own : Character.toUpperCase(character);
  }
}

package org.kalla.functions;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The table that Python and DuckDB keep too: tests/udfs/cases.json. */
class TableTest {
  private static final File CASES = new File(System.getProperty("kalla.cases"));

  @TestFactory
  List<DynamicTest> everyCaseHolds() throws IOException {
    List<DynamicTest> tests = new ArrayList<>();
    for (JsonNode item : new ObjectMapper().readTree(CASES)) {
      String name = item.get("function").asText();
      tests.add(
          DynamicTest.dynamicTest(
              name + " " + item.get("args"),
              () -> assertEquals(expected(item.get("expected")), shown(Table.call(name, item.get("args"))))));
    }
    assertTrue(tests.size() > 100, "the table is there");
    return tests;
  }

  private static Object expected(JsonNode value) {
    return value.isNull() ? null : value.isBoolean() ? (Object) value.asBoolean() : value.asText();
  }

  private static Object shown(Object value) {
    return value instanceof BigDecimal ? ((BigDecimal) value).toPlainString() : value;
  }

  @Test
  void numbersKeepAllTheirDigits() {
    BigDecimal large = new BigDecimal("99999999999999999999999999999999999999");
    assertEquals(true, Numbers.toleranceMatch(large, large.subtract(BigDecimal.ONE), BigDecimal.ONE));
    assertEquals(false, Numbers.toleranceMatch(large, large.subtract(BigDecimal.TEN), BigDecimal.ONE));
    assertEquals(true, Numbers.percentMatch(large.negate(), large.negate(), BigDecimal.ZERO));
  }

  @Test
  void distancesAreThoseOfTheDefinition() {
    assertEquals("0.5714", Texts.textSimilarity("kitten", "sitting").toPlainString());
    assertEquals("0.5714", Texts.textSimilarity("sitting", "kitten").toPlainString());
    assertEquals("0.0000", Texts.textSimilarity("abc", "").toPlainString());
  }
}

package org.kalla.sql;

import java.util.Map;
import org.apache.beam.sdk.expansion.ExternalTransformRegistrar;
import org.apache.beam.sdk.extensions.sql.SqlTransform;
import org.apache.beam.sdk.transforms.ExternalTransformBuilder;
import org.apache.beam.sdk.transforms.PTransform;
import org.apache.beam.sdk.values.PCollection;
import org.apache.beam.sdk.values.PInput;
import org.apache.beam.sdk.values.Row;

/** Offers SqlTransform, with our functions, to pipelines in Python under the name that Beam's own service uses. */
public final class SqlTransformRegistrar implements ExternalTransformRegistrar {
  static final String URN = "beam:external:java:sql:v1";

  @Override
  public Map<String, ExternalTransformBuilder<?, ?, ?>> knownBuilderInstances() {
    return Map.of(URN, new Builder());
  }

  /** What a pipeline sends: the statement, and what Beam's own service knows beside it; that must stay empty. */
  public static final class Configuration {
    String query;
    String dialect;
    String ddl;

    public void setQuery(String query) {
      this.query = query;
    }

    public void setDialect(String dialect) {
      this.dialect = dialect;
    }

    public void setDdl(String ddl) {
      this.ddl = ddl;
    }
  }

  private static final class Builder implements ExternalTransformBuilder<Configuration, PInput, PCollection<Row>> {
    @Override
    public PTransform<PInput, PCollection<Row>> buildExternal(Configuration configuration) {
      if (configuration.ddl != null || configuration.dialect != null) {
        throw new IllegalArgumentException("Only a query can be given.");
      }
      return SqlTransform.query(configuration.query).withAutoLoading(true);
    }
  }
}

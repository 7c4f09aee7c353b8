import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.split;

import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.apache.spark.sql.streaming.Trigger;

/**
 * Counts the words of a topic's lines into another topic, each count in place of the one before. Usage: Counts BOOTSTRAP INPUT OUTPUT CHECKPOINTS;
 * it goes on from the checkpoint that it finds there.
 */
public final class Counts {
    public static void main(String[] arguments) throws Exception {
        SparkSession spark = SparkSession.builder().master("local[2]").appName("counts").config("spark.ui.enabled", false)
                .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.sql.shuffle.partitions", 2).getOrCreate();
        spark.sparkContext().setLogLevel("WARN");
        StreamingQuery query = spark.readStream().format("kafka")
                .option("kafka.bootstrap.servers", arguments[0]).option("subscribe", arguments[1])
                .option("startingOffsets", "earliest").option("failOnDataLoss", true).option("maxOffsetsPerTrigger", 2000).load()
                .select(explode(split(col("value").cast("string"), " ")).as("key"))
                .groupBy("key").count().select(col("key"), col("count").cast("string").as("value"))
                .writeStream().format("kafka")
                .option("kafka.bootstrap.servers", arguments[0]).option("topic", arguments[2]).option("checkpointLocation", arguments[3])
                .outputMode("update").trigger(Trigger.ProcessingTime("200 milliseconds")).start();
        query.awaitTermination();
    }
}

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.introspect.BeanPropertyDefinition;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The OpenAPI schemas of Strimzi's kinds, from the classes that its operator reads them into. */
public class StrimziSchemas {
    private static final String MODEL = "io.strimzi.api.kafka.model.";
    private static final Map<String, String> KINDS = Map.of(
            "Kafka", "kafka.KafkaSpec",
            "KafkaNodePool", "nodepool.KafkaNodePoolSpec",
            "KafkaTopic", "topic.KafkaTopicSpec",
            "KafkaUser", "user.KafkaUserSpec");
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private final Set<Class<?>> open = new HashSet<>();

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> schemas = new LinkedHashMap<>();
        for (var kind : KINDS.entrySet()) {
            JavaType type = MAPPER.constructType(Class.forName(MODEL + kind.getValue()));
            schemas.put(kind.getKey(), Map.of("type", "object", "properties", Map.of("spec", new StrimziSchemas().of(type))));
        }
        MAPPER.writeValue(System.out, schemas);
    }

    private Map<String, Object> of(JavaType type) throws Exception {
        Class<?> raw = type.getRawClass();
        if (raw.getSimpleName().equals("IntOrString") || raw.getSimpleName().equals("Quantity")) {
            return Map.of("x-kubernetes-int-or-string", true);
        }
        if (raw.isEnum()) {
            return Map.of("type", "string", "enum", words(raw));
        }
        if (type.isCollectionLikeType() || type.isArrayType()) {
            return Map.of("type", "array", "items", of(type.getContentType()));
        }
        if (type.isMapLikeType()) {
            return Map.of("type", "object", "additionalProperties", of(type.getContentType()));
        }
        if (raw == String.class) {
            return Map.of("type", "string");
        }
        if (raw == Boolean.class || raw == boolean.class) {
            return Map.of("type", "boolean");
        }
        if (Number.class.isAssignableFrom(raw) || raw.isPrimitive()) {
            boolean whole = raw != Double.class && raw != double.class && raw != Float.class && raw != float.class;
            return Map.of("type", whole ? "integer" : "number");
        }
        if (raw == Object.class || !open.add(raw)) {
            return Map.of("x-kubernetes-preserve-unknown-fields", true);
        }
        Map<String, Object> properties = new LinkedHashMap<>();
        for (Class<?> form : forms(raw)) {
            addProperties(MAPPER.constructType(form), properties);
        }
        open.remove(raw);
        return Map.of("type", "object", "properties", properties);
    }

    private void addProperties(JavaType type, Map<String, Object> properties) throws Exception {
        for (BeanPropertyDefinition property : MAPPER.getDeserializationConfig().introspect(type).findProperties()) {
            if (property.hasSetter() || property.hasField() || property.hasGetter()) {
                if (!property.getName().equals("additionalProperties") && !properties.containsKey(property.getName())) {
                    properties.put(property.getName(), of(property.getPrimaryType()));
                }
            }
        }
    }

    /** A type, or all that its `type` chooses from. */
    private static List<Class<?>> forms(Class<?> raw) {
        List<Class<?>> forms = new ArrayList<>();
        JsonSubTypes choice = raw.getDeclaredAnnotation(JsonSubTypes.class);
        if (choice == null) {
            forms.add(raw);
            return forms;
        }
        for (JsonSubTypes.Type one : choice.value()) {
            forms.add(one.value());
        }
        return forms;
    }

    private static List<String> words(Class<?> raw) throws Exception {
        List<String> words = new ArrayList<>();
        for (Object constant : raw.getEnumConstants()) {
            words.add(MAPPER.convertValue(constant, String.class));
        }
        return words;
    }
}
